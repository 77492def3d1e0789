/** Bytes that are appended once and read back in order; they may be far more than memory should hold. */
export interface ByteLog {
  /** Bytes so far. */
  readonly size: number;
  /** Copies `bytes` to the end. */
  append(bytes: Uint8Array): void;
  /** All bytes in order, in chunks that die with the next step. May be called again. */
  chunks(): Iterable<Uint8Array>;
}

const PIECE_BYTES = 1 << 20;

/** A ByteLog in memory: pieces of 1 MiB, never copied to grow. */
export class MemoryByteLog implements ByteLog {
  readonly #pieces: Uint8Array[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  append(bytes: Uint8Array): void {
    let left = bytes;
    while (left.length > 0) {
      const used = this.#size % PIECE_BYTES;
      if (used === 0) this.#pieces.push(new Uint8Array(PIECE_BYTES));
      const count = Math.min(left.length, PIECE_BYTES - used);
      this.#pieces.at(-1)?.set(left.subarray(0, count), used);
      this.#size += count;
      left = left.subarray(count);
    }
  }

  *chunks(): Iterable<Uint8Array> {
    for (const [i, piece] of this.#pieces.entries()) {
      yield piece.subarray(0, Math.min(PIECE_BYTES, this.#size - i * PIECE_BYTES));
    }
  }
}
