import type { Logger } from "../observability/log.ts";
import { RepeatGate } from "../observability/repeat-gate.ts";

/** Work that nobody waits for, one piece after another; it is waited for when its owner ends. */
export class BackgroundWork implements AsyncDisposable {
  readonly #log: Logger;
  /** On a disk that fails it fails every few seconds, for each layer. */
  readonly #gate = new RepeatGate();
  #last: Promise<void> = Promise.resolve();
  #isEnding = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * A failure is said in the log: the work is done again another time. `what` is one of a few constant
   * texts; what fails again and again is said less often.
   */
  add(what: string, work: () => Promise<void>): void {
    if (this.#isEnding) return;
    this.#last = this.#last.then(async () => {
      try {
        await work();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        const level = this.#gate.lets(what) ? "warn" : "debug";
        this.#log[level]("background work on the cache failed", { what, reason });
      }
    });
  }

  /** Takes nothing more, and waits for all that it has taken. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    await this.#last;
  }
}
