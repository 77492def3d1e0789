import type { Logger } from "../observability/log.ts";

/** Work that nobody waits for, one piece after another; it is waited for when its owner ends. */
export class BackgroundWork implements AsyncDisposable {
  readonly #log: Logger;
  #last: Promise<void> = Promise.resolve();
  #isEnding = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** A failure is said in the log: the work is done again another time. */
  add(what: string, work: () => Promise<void>): void {
    this.#last = this.#last.then(async () => {
      if (this.#isEnding) return;
      try {
        await work();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#log.warn("background work on the cache failed", { what, reason });
      }
    });
  }

  /** Begins nothing more, and waits for what has begun. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    await this.#last;
  }
}
