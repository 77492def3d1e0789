/**
 * A layer's bytes on their way into a zTOC builder. When the builder fails, this tells whose fault it
 * was: the stream goes on to its end, where its digest is checked. Bytes that were damaged on the way
 * are then an error of the source, and the layer itself is not blamed.
 */
export class LayerStream implements AsyncIterable<Uint8Array> {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #onBytes: (count: number) => void;
  #ended = false;
  #failure: { readonly reason: unknown } | undefined;

  constructor(source: AsyncIterable<Uint8Array>, onBytes: (count: number) => void) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#onBytes = onBytes;
  }

  /** No `return` on purpose: a reader that fails half-way leaves the rest for drain(). */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#next() };
  }

  /** Reads what is left. Throws what the source throws, or has thrown. */
  async drain(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.reason;
    while ((await this.#next()).done !== true) {
      // only the digest at the end matters
    }
  }

  /** Gives the source up. Twice is fine. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#iterator.return?.();
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#ended) return { done: true, value: undefined };
    try {
      const result = await this.#iterator.next();
      if (result.done === true) this.#ended = true;
      else this.#onBytes(result.value.length);
      return result;
    } catch (reason) {
      this.#failure = { reason };
      throw reason;
    }
  }
}
