/** Aborts its signal when a server has been silent for `timeoutMs`. Stop it when done. */
export class IdleWatch {
  readonly #controller = new AbortController();
  readonly #timeoutMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.touch();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Starts the wait anew. */
  touch(): void {
    if (this.#timer !== undefined) {
      this.#timer.refresh();
      return;
    }
    this.#timer = setTimeout(() => {
      this.#controller.abort(new Error(`nothing was heard for ${this.#timeoutMs} ms`));
    }, this.#timeoutMs);
  }

  /** Ends the wait; touch() starts another. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
