import type { Digest } from "../oci/digest.ts";
import { Digester } from "../oci/digest.ts";

const NOTHING = new Uint8Array(0);

/**
 * Digests of consecutive spans of a stream whose borders become known only after their bytes have
 * passed. A border may lie in the middle of a byte, which then belongs to both spans.
 */
export class SpanDigester {
  readonly digests: Digest[] = [];
  #current: Digester | undefined;
  /** Next byte of the stream to hash, and the cuts to be made from there on. */
  #position = 0;
  #cuts: { readonly end: number; readonly nextStart: number }[] = [];
  /** Bytes from #position to the end of what was given. */
  #carry: Uint8Array = NOTHING;
  #given = 0;

  /** A span begins at byte `start`; the one before, if any, ends at byte `end` (exclusive). */
  cut(end: number, start: number): void {
    this.#cuts.push({ end, nextStart: start });
  }

  /** Gives the next bytes. All cuts that lie before byte `decided` have been made; later ones may follow. */
  push(chunk: Uint8Array, decided: number): void {
    const parts = [this.#carry, chunk].filter((part) => part.length > 0);
    const partsStart = this.#given - this.#carry.length;
    this.#given += chunk.length;
    for (const { end, nextStart } of this.#cuts) {
      this.#hash(parts, partsStart, end);
      if (this.#current !== undefined) this.digests.push(this.#current.digest());
      this.#current = new Digester();
      this.#position = nextStart;
    }
    this.#cuts = [];
    this.#hash(parts, partsStart, Math.max(this.#position, decided));
    this.#carry = copyRange(parts, partsStart, this.#position, this.#given);
  }

  /** No more bytes: ends the last span, if one has begun. */
  finish(): readonly Digest[] {
    this.push(NOTHING, this.#given);
    if (this.#current !== undefined) this.digests.push(this.#current.digest());
    this.#current = undefined;
    return this.digests;
  }

  /** Moves on to byte `end`; bytes before the first cut belong to no span. */
  #hash(parts: readonly Uint8Array[], partsStart: number, end: number): void {
    let start = partsStart;
    for (const part of parts) {
      const from = Math.max(this.#position, start);
      const to = Math.min(end, start + part.length);
      if (from < to) this.#current?.update(part.subarray(from - start, to - start));
      start += part.length;
    }
    this.#position = Math.max(this.#position, end);
  }
}

function copyRange(
  parts: readonly Uint8Array[],
  partsStart: number,
  from: number,
  to: number,
): Uint8Array {
  const copy = new Uint8Array(to - from);
  let start = partsStart;
  for (const part of parts) {
    const first = Math.max(from, start);
    const last = Math.min(to, start + part.length);
    if (first < last) copy.set(part.subarray(first - start, last - start), first - from);
    start += part.length;
  }
  return copy;
}
