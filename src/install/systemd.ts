import { existsSync } from "node:fs";
import { SociError } from "../errors.ts";

/** The service manager of this machine. */
export class Systemd {
  readonly #program: string;

  constructor(program: string = "systemctl") {
    this.#program = program;
  }

  /** sd_booted(3) */
  static isRunning(): boolean {
    return existsSync("/run/systemd/system");
  }

  async reload(): Promise<void> {
    await this.#run(["daemon-reload"]);
  }

  /** Now, and whenever the machine starts. */
  async enable(units: readonly string[]): Promise<void> {
    await this.#run(["enable", "--now", ...units]);
  }

  async disable(units: readonly string[]): Promise<void> {
    await this.#run(["disable", "--now", ...units]);
  }

  async restart(unit: string): Promise<void> {
    await this.#run(["restart", unit]);
  }

  async isActive(unit: string): Promise<boolean> {
    const { code } = await this.#spawn(["is-active", "--quiet", unit]);
    return code === 0;
  }

  /** Its state in a word, as `active`, `failed` or `inactive`. */
  async state(unit: string): Promise<string> {
    const { stdout } = await this.#spawn(["is-active", unit]);
    return stdout.trim();
  }

  async #run(words: readonly string[]): Promise<void> {
    const { code, stderr } = await this.#spawn(words);
    if (code === 0) return;
    throw new SociError(
      "failed-precondition",
      `Cannot run systemctl ${words.join(" ")}: ${stderr.trim() || `it ended with ${code}`}`,
    );
  }

  async #spawn(
    words: readonly string[],
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    const path = Bun.which(this.#program);
    if (path === null) {
      throw new SociError("failed-precondition", `Cannot find ${this.#program}`);
    }
    const child = Bun.spawn([path, ...words], { stdio: ["ignore", "pipe", "pipe"] });
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { code, stdout, stderr };
  }
}
