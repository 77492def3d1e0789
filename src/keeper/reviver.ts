import type { Logger } from "../observability/log.ts";
import { sysClose, sysPidfdOpen } from "../sys/libc.ts";
import { POLLIN, pollNow } from "../sys/poll-now.ts";

export interface ReviverOptions {
  /** The program, and the command line that serves what is held. */
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs a start with what the keeper was given itself, and has changed since. */
  readonly asGiven: <T>(start: () => T) => T;
  readonly log: Logger;
}

const FIRST_WAIT_MS = 100;
const MAX_WAIT_MS = 5_000;

/**
 * Starts a server again for what is held, where nobody else would: one at a time, never beside one that
 * lives, and less and less often when they die young.
 */
export class Reviver implements Disposable {
  readonly #options: ReviverOptions;
  /** Of the last server that was there, by pidfd; it may not be a child. */
  #server: number | undefined;
  #child: Bun.Subprocess | undefined;
  #waitMs = 0;
  #notBefore = 0;

  constructor(options: ReviverOptions) {
    this.#options = options;
  }

  /** A process serves from now on. */
  serves(pid: number): void {
    this[Symbol.dispose]();
    const fd = sysPidfdOpen(pid);
    // Before Linux 5.3 there are none: then the end of its connection must do.
    if (fd >= 0) this.#server = fd;
  }

  /** Starts one, unless there still is one or it is too early. */
  revive(now = performance.now()): void {
    if (now < this.#notBefore || this.#isThere()) return;
    this.#waitMs = Math.min(2 * this.#waitMs + FIRST_WAIT_MS, MAX_WAIT_MS);
    this.#notBefore = now + this.#waitMs;
    const { command, cwd, env, asGiven, log } = this.#options;
    log.warn("server of a mount has ended and is started again");
    try {
      this.#child = asGiven(() =>
        Bun.spawn([...command], {
          // What the program does depends on its name.
          argv0: "sociable",
          cwd,
          env: { ...env },
          stdio: ["ignore", "ignore", "inherit"],
          detached: true,
        }),
      );
      this.#child.unref();
    } catch (error) {
      log.error("server of a mount cannot be started", { program: command[0], cwd, error });
    }
  }

  /** The last one has lived for a while: the next may follow it at once. */
  hasLived(): void {
    this.#waitMs = 0;
    this.#notBefore = 0;
  }

  [Symbol.dispose](): void {
    if (this.#server !== undefined) sysClose(this.#server);
    this.#server = undefined;
  }

  #isThere(): boolean {
    if (this.#server !== undefined && (pollNow(this.#server, POLLIN) & POLLIN) === 0) return true;
    const { exitCode, signalCode } = this.#child ?? { exitCode: 0 };
    return exitCode === null && signalCode === null;
  }
}
