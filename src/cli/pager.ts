import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { SociError } from "../errors.ts";
import { type CliIo, Interrupt, OutputClosed, type OutputStream } from "./cli-io.ts";
import type { FlagSpecs } from "./flag-spec.ts";

/** Of commands whose result may be longer than a screen. */
export const PAGER_FLAG = {
  "no-pager": {
    type: "boolean",
    description: "Never show the result through $PAGER, as is done on a terminal",
  },
} as const satisfies FlagSpecs;

export interface PagerOptions {
  readonly io: CliIo;
  /** What the command line says. */
  readonly flags: { readonly "no-pager": boolean; readonly json?: boolean };
}

type PagerIo = Pick<CliIo, "env" | "cwd" | "signal" | "stdout">;

/** Of shells: what was to be run cannot be, or is not there. */
const CANNOT_RUN = [126, 127];

/**
 * Runs `use` with the stream that a command's long result goes to: the user's pager where a person
 * looks at a terminal, standard output else. The pager starts with the first byte, and this waits
 * until it has ended; who leaves it early ends the command quietly.
 * @throws failed-precondition when the pager cannot be run
 */
export async function withPager(
  { io, flags }: PagerOptions,
  use: (out: OutputStream) => Promise<void>,
): Promise<void> {
  const wanted = flags["no-pager"] || flags.json === true ? undefined : pagerCommand(io);
  if (wanted === undefined) {
    await use(io.stdout);
    return;
  }
  const pager = new Pager(wanted, io);
  try {
    await use(pager);
  } finally {
    await pager.end();
  }
}

/**
 * The pager's command line for a shell, as POSIX has it for PAGER; undefined: none is wanted, or there
 * is none. https://pubs.opengroup.org/onlinepubs/9799919799/utilities/man.html
 */
export function pagerCommand({ env, stdout }: Pick<CliIo, "env" | "stdout">): string | undefined {
  if (!stdout.isTty || env["TERM"] === "dumb") return undefined;
  const named = env["PAGER"];
  if (named !== undefined) {
    const command = named.trim();
    return command === "" || command === "cat" ? undefined : command;
  }
  return Bun.which("less", { PATH: env["PATH"] ?? "" }) === null ? undefined : "less";
}

class Pager implements OutputStream {
  readonly isTty = true;
  readonly #command: string;
  readonly #io: PagerIo;
  #child: (ChildProcess & { readonly stdin: Writable }) | undefined;
  #exited: Promise<number | null> | undefined;

  constructor(command: string, io: PagerIo) {
    this.#command = command;
    this.#io = io;
  }

  async write(chunk: string | Uint8Array): Promise<void> {
    const { signal } = this.#io;
    signal.throwIfAborted();
    if (chunk.length === 0) return;
    // Takes away progress that is still drawn on the terminal.
    if (this.#child === undefined) await this.#io.stdout.write("");
    this.#child ??= this.#start();
    const { stdin } = this.#child;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    stdin.write(chunk, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(new OutputClosed({ cause: error }));
    });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Says that nothing more comes, and waits until the user has seen enough. */
  async end(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const { signal } = this.#io;
    // Ctrl-C is the pager's own affair, as for every program that uses one; the other signals end both.
    const stop = (): void => {
      const { reason } = signal;
      if (!(reason instanceof Interrupt) || reason.signalName !== "SIGINT") child.kill("SIGTERM");
    };
    signal.addEventListener("abort", stop, { once: true });
    try {
      if (signal.aborted) stop();
      child.stdin.end();
      const code = await this.#exitCode();
      if (code !== null && code !== undefined && CANNOT_RUN.includes(code)) {
        throw new SociError(
          "failed-precondition",
          `Cannot run the pager ${JSON.stringify(this.#command)}: the shell gave it up with exit code ${code}`,
          { hint: "Set PAGER to a pager that is there, or give --no-pager" },
        );
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #exitCode(): Promise<number | null | undefined> {
    try {
      return await this.#exited;
    } catch (cause) {
      throw new SociError("failed-precondition", "Cannot run a shell for the pager", { cause });
    }
  }

  #start(): ChildProcess & { readonly stdin: Writable } {
    const { env, cwd } = this.#io;
    const child = spawn("/bin/sh", ["-c", this.#command], {
      cwd,
      // What fits the screen is not paged, styles are let through, the screen is not wiped: as git has it.
      env: { ...env, LESS: env["LESS"] ?? "FRX", LV: env["LV"] ?? "-c" },
      stdio: ["pipe", "inherit", "inherit"],
    });
    this.#exited = once(child, "close").then(([code]) => (typeof code === "number" ? code : null));
    // Until end() waits for it.
    this.#exited.catch(() => undefined);
    // A write says so itself when the pager has gone.
    child.stdin.on("error", () => undefined);
    return child;
  }
}
