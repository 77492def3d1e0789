interface MemorySpan {
  readonly bytes: Uint8Array;
}

/**
 * Spans for which the disk had no room, inflated: the last used ones, up to a bound. One that alone
 * is larger is kept until the next comes.
 */
export class MemorySpans {
  readonly #maxBytes: number;
  /** By layer and span, the longest unused first. */
  readonly #spans = new Map<string, MemorySpan>();
  #bytes = 0;

  constructor({ maxBytes }: { readonly maxBytes: number }) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  put(layer: number, span: number, bytes: Uint8Array): void {
    this.delete(layer, span);
    this.#spans.set(keyOf(layer, span), { bytes });
    this.#bytes += bytes.length;
    for (const [key, oldest] of this.#spans) {
      if (this.#bytes <= this.#maxBytes || this.#spans.size === 1) return;
      this.#spans.delete(key);
      this.#bytes -= oldest.bytes.length;
    }
  }

  /** All bytes of the span, if it is here; a use of it. */
  get(layer: number, span: number): Uint8Array | undefined {
    if (this.#spans.size === 0) return undefined;
    const key = keyOf(layer, span);
    const found = this.#spans.get(key);
    if (found === undefined) return undefined;
    this.#spans.delete(key);
    this.#spans.set(key, found);
    return found.bytes;
  }

  has(layer: number, span: number): boolean {
    return this.#spans.size > 0 && this.#spans.has(keyOf(layer, span));
  }

  delete(layer: number, span: number): void {
    const found = this.#spans.get(keyOf(layer, span));
    if (found === undefined) return;
    this.#spans.delete(keyOf(layer, span));
    this.#bytes -= found.bytes.length;
  }

  clear(): void {
    this.#spans.clear();
    this.#bytes = 0;
  }
}

function keyOf(layer: number, span: number): string {
  return `${layer}:${span}`;
}
