/**
 * Runs a sync for all who ask before it begins: those who ask while one is under way share the next
 * one, as what they wrote may have come too late for it.
 */
export class GroupSync {
  readonly #sync: () => Promise<void>;
  #current: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** Resolves when a sync that began after this call is done. @throws what that sync does */
  run(): Promise<void> {
    this.#next ??= this.#after(this.#current);
    return this.#next;
  }

  async #after(current: Promise<void>): Promise<void> {
    await current.catch(() => undefined);
    // Nothing is written between here and the sync.
    const done = this.#sync();
    this.#current = done;
    this.#next = undefined;
    await done;
  }
}
