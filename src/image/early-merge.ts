/**
 * Begins to merge a chain as soon as all of its layers are being added, while their files are still
 * being written; again at the end when one of them had to be added a second time.
 */
export class EarlyMerge {
  readonly #count: number;
  readonly #merge: () => Promise<void>;
  #begun = 0;
  #early: Promise<void> | undefined;
  #isStale = false;

  /** `count`: of layers in the chain, each counted once. */
  constructor(count: number, merge: () => Promise<void>) {
    this.#count = count;
    this.#merge = merge;
    this.#mergeIfAll();
  }

  /** The next layer is being added; returns what that comes to. */
  async begin<T>(adding: Promise<T>): Promise<T> {
    this.#begun++;
    this.#mergeIfAll();
    return await adding;
  }

  /** A layer whose adding has failed will be added in another way. */
  takeBack(): void {
    this.#begun--;
    if (this.#early !== undefined) this.#isStale = true;
  }

  /** All layers have been added: waits until they are merged. */
  async finish(): Promise<void> {
    if (this.#isStale || this.#early === undefined) await this.#merge();
    else await this.#early;
  }

  #mergeIfAll(): void {
    if (this.#begun < this.#count || this.#early !== undefined) return;
    this.#early = this.#merge();
    // It counts when all layers have been added in the end, and is then waited for.
    this.#early.catch(() => undefined);
  }
}
