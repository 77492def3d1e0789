import { CHUNK_BYTES, type SharedChunk, type SharedChunks } from "./shared-chunks.ts";

/** The compressed bytes of one span: `length` bytes from `start` of the first chunk on. */
export interface CompressedSpan {
  readonly chunks: readonly SharedChunk[];
  readonly start: number;
  readonly length: number;
}

/**
 * The body of one request as it comes, cut into spans without a copy: neighbours may share a byte,
 * and any two a chunk. Dispose it when nothing more comes; spans cut before stay.
 */
export class CompressedBody implements Disposable {
  readonly #pool: SharedChunks;
  /** Those that hold bytes from #from on. */
  readonly #chunks: SharedChunk[] = [];
  /** Offset of the first chunk's first byte, and of the next byte to come. */
  #from: number;
  #end: number;

  /** `start` is the body's offset in the blob, and cut() speaks of offsets in the blob too. */
  constructor(pool: SharedChunks, start: number) {
    this.#pool = pool;
    this.#from = start;
    this.#end = start;
  }

  /** Offset in the blob of the next byte. */
  get end(): number {
    return this.#end;
  }

  append(bytes: Uint8Array): void {
    for (let taken = 0; taken < bytes.length;) {
      const at = this.#end - this.#from;
      const index = Math.floor(at / CHUNK_BYTES);
      const chunk = this.#chunks[index] ?? this.#grow();
      const within = at - index * CHUNK_BYTES;
      const count = Math.min(bytes.length - taken, CHUNK_BYTES - within);
      chunk.bytes.set(
        count === bytes.length ? bytes : bytes.subarray(taken, taken + count),
        within,
      );
      taken += count;
      this.#end += count;
    }
  }

  /** Bytes [start, end) of the blob, which have come; whoever gets them releases each chunk. */
  cut(start: number, end: number): CompressedSpan {
    if (start < this.#from || end > this.#end || start > end) {
      throw new Error(`bytes ${start} to ${end} are not in ${this.#from} to ${this.#end}`);
    }
    const first = Math.floor((start - this.#from) / CHUNK_BYTES);
    const last = Math.ceil((end - this.#from) / CHUNK_BYTES);
    const chunks = this.#chunks.slice(first, last);
    for (const chunk of chunks) this.#pool.share(chunk);
    return { chunks, start: start - this.#from - first * CHUNK_BYTES, length: end - start };
  }

  /** What lies before `offset` of the blob will not be cut any more. */
  forget(offset: number): void {
    while (offset - this.#from >= CHUNK_BYTES) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) return;
      this.#pool.release(chunk);
      this.#from += CHUNK_BYTES;
    }
  }

  [Symbol.dispose](): void {
    for (const chunk of this.#chunks.splice(0)) this.#pool.release(chunk);
    this.#from = this.#end;
  }

  #grow(): SharedChunk {
    const chunk = this.#pool.take();
    this.#chunks.push(chunk);
    return chunk;
  }
}

/** Gives a span's memory back. */
export function releaseSpan(pool: SharedChunks, { chunks }: CompressedSpan): void {
  for (const chunk of chunks) pool.release(chunk);
}
