/** 32-bit words of records that are appended: grows by itself. */
export class WordList {
  #words: Uint32Array;
  #length = 0;

  constructor(initialWords = 64) {
    this.#words = new Uint32Array(initialWords);
  }

  get length(): number {
    return this.#length;
  }

  /** The memory; it dies with the next extend(). */
  get words(): Uint32Array {
    return this.#words;
  }

  /** Appends `count` zeros and returns where they are. */
  extend(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#words.length) {
      const larger = new Uint32Array(Math.max(this.#length, 2 * this.#words.length));
      larger.set(this.#words.subarray(0, at));
      this.#words = larger;
    }
    return at;
  }

  view(): Uint32Array {
    return this.#words.subarray(0, this.#length);
  }
}
