/** Bytes [start, end) of the layer, kept for somebody who waits for others beside them. */
interface HeldBytes {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

export interface MemorySpan {
  readonly layer: number;
  readonly span: number;
  /** Uncompressed offset of its first byte. */
  readonly start: number;
  readonly bytes: Uint8Array;
}

/**
 * Spans for which the disk had no room, inflated: the last used ones, up to a bound. One that alone
 * is larger is kept until the next comes. Beside the bound, what hold() was asked to keep of them.
 */
export class MemorySpans {
  readonly #maxBytes: number;
  /** By layer and span, the longest unused first. */
  readonly #spans = new Map<string, MemorySpan>();
  readonly #held = new Map<string, Set<HeldBytes>>();
  #bytes = 0;

  constructor({ maxBytes }: { readonly maxBytes: number }) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of whole spans. */
  get bytes(): number {
    return this.#bytes;
  }

  put(span: MemorySpan): void {
    this.delete(span.layer, span.span);
    this.#spans.set(keyOf(span.layer, span.span), span);
    this.#bytes += span.bytes.length;
    for (const [key, oldest] of this.#spans) {
      if (this.#bytes <= this.#maxBytes || this.#spans.size === 1) return;
      this.#spans.delete(key);
      this.#bytes -= oldest.bytes.length;
    }
  }

  /** The uncompressed bytes [start, end) of a span, if they are here; a use of it. */
  get(layer: number, span: number, start: number, end: number): Uint8Array | undefined {
    if (this.#spans.size === 0 && this.#held.size === 0) return undefined;
    const key = keyOf(layer, span);
    const found = this.#spans.get(key);
    if (found !== undefined) {
      this.#spans.delete(key);
      this.#spans.set(key, found);
      return found.bytes.subarray(start - found.start, end - found.start);
    }
    for (const held of this.#held.get(key) ?? []) {
      if (held.start <= start && end <= held.end) {
        return held.bytes.subarray(start - held.start, end - held.start);
      }
    }
    return undefined;
  }

  has(layer: number, span: number): boolean {
    return this.#spans.size > 0 && this.#spans.has(keyOf(layer, span));
  }

  /** Keeps a part of a span that is here, whatever comes, until disposed; undefined when it is not. */
  hold(layer: number, span: number, start: number, end: number): Disposable | undefined {
    const bytes = this.get(layer, span, start, end);
    if (bytes === undefined) return undefined;
    const key = keyOf(layer, span);
    const held: HeldBytes = { start, end, bytes: bytes.slice() };
    const all = this.#held.get(key) ?? new Set();
    this.#held.set(key, all);
    all.add(held);
    return {
      [Symbol.dispose]: () => {
        all.delete(held);
        if (all.size === 0) this.#held.delete(key);
      },
    };
  }

  /** The cache has it by now. */
  delete(layer: number, span: number): void {
    const key = keyOf(layer, span);
    const found = this.#spans.get(key);
    if (found === undefined) return;
    this.#spans.delete(key);
    this.#bytes -= found.bytes.length;
  }

  clear(): void {
    this.#spans.clear();
    this.#held.clear();
    this.#bytes = 0;
  }
}

function keyOf(layer: number, span: number): string {
  return `${layer}:${span}`;
}
