const NOTHING: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * A stream that is read from the start, up to some bytes, before anybody asks for it: so requests of
 * many are on their way while few are worked on. It has one reader; closing gives the source up.
 */
export class ReadAhead implements AsyncIterableIterator<Uint8Array>, AsyncDisposable {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #maxBytes: number;
  readonly #chunks: Uint8Array[] = [];
  readonly #filling: Promise<void>;
  #isWanted = false;
  #isEnded = false;
  #failure: { readonly reason: unknown } | undefined;
  #closing: Promise<unknown> | undefined;

  constructor(source: AsyncIterable<Uint8Array>, maxBytes: number) {
    this.#source = source[Symbol.asyncIterator]();
    this.#maxBytes = maxBytes;
    this.#filling = this.#fill();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    this.#isWanted = true;
    const early = this.#chunks.shift();
    if (early !== undefined) return { done: false, value: early };
    await this.#filling;
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) return { done: false, value: chunk };
    if (this.#failure !== undefined) throw this.#failure.reason;
    return this.#isEnded ? NOTHING : await this.#source.next();
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#isWanted = true;
    this.#isEnded = true;
    this.#closing ??= this.#close();
    await this.#closing;
    this.#chunks.length = 0;
    return NOTHING;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Ends early when the reader has come. A failure is kept for it. */
  async #fill(): Promise<void> {
    let bytes = 0;
    try {
      while (bytes < this.#maxBytes && !this.#isWanted) {
        const next = await this.#source.next();
        if (next.done === true) {
          this.#isEnded = true;
          return;
        }
        // Some sources use the memory of a chunk again.
        this.#chunks.push(next.value.slice());
        bytes += next.value.length;
      }
    } catch (reason) {
      this.#failure = { reason };
    }
  }

  async #close(): Promise<void> {
    await this.#filling;
    await this.#source.return?.();
  }
}
