/** Compressed bytes on their way lie in pieces of this size. */
export const CHUNK_BYTES = 256 * 1024;

/** A piece of memory that all threads see. */
export interface SharedChunk {
  readonly id: number;
  readonly memory: SharedArrayBuffer;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** Holders; taken and given back by SharedChunks alone. */
  uses: number;
}

/**
 * Memory for compressed bytes between network and inflate threads: received once, never copied or
 * transferred after that. Chunks are used again, the last given back first, so that no more is ever
 * touched than was needed at once; trim() gives idle ones back. How many may be out is for those to
 * bound who take them.
 */
export class SharedChunks {
  readonly #free: SharedChunk[] = [];
  readonly #discard: (bytes: Uint8Array) => void;
  #nextId = 0;
  #live = 0;
  /** The least that lay idle since the last trim(). */
  #idle = 0;

  /** `discard` gives memory back that would otherwise wait until every thread has collected it. */
  constructor({
    discard = () => undefined,
  }: { readonly discard?: ((bytes: Uint8Array) => void) | undefined } = {}) {
    this.#discard = discard;
  }

  /** Bytes of memory held, in use or not. */
  get heldBytes(): number {
    return this.#live * CHUNK_BYTES;
  }

  /** A chunk with one use, of undefined content. */
  take(): SharedChunk {
    const chunk = this.#free.pop() ?? this.#make();
    chunk.uses = 1;
    this.#idle = Math.min(this.#idle, this.#free.length);
    return chunk;
  }

  /** One more holder. */
  share(chunk: SharedChunk): void {
    chunk.uses += 1;
  }

  /** One holder less; with the last the chunk may be used again. */
  release(chunk: SharedChunk): void {
    chunk.uses -= 1;
    if (chunk.uses === 0) this.#free.push(chunk);
  }

  /** Lets go of what has lain idle since the call before; returns those chunks' numbers. */
  trim(): readonly number[] {
    const dropped = this.#free.splice(0, this.#idle);
    this.#live -= dropped.length;
    this.#idle = this.#free.length;
    for (const { bytes } of dropped) this.#discard(bytes);
    return dropped.map(({ id }) => id);
  }

  #make(): SharedChunk {
    const memory = new SharedArrayBuffer(CHUNK_BYTES);
    this.#live += 1;
    this.#nextId += 1;
    return { id: this.#nextId, memory, bytes: new Uint8Array(memory), uses: 0 };
  }
}
