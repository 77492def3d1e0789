import { abortable } from "../async/abortable.ts";
import type { WaitOptions } from "../async/wait-options.ts";

interface Waiter {
  readonly bytes: number;
  readonly grant: () => void;
}

/** Bounds the memory of things under way: at most `limit` bytes at once, or one thing that is larger. First come, first served. */
export class ByteBudget {
  readonly #limit: number;
  readonly #waiters = new Set<Waiter>();
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes so many bytes; disposing gives them back, once. Throws `signal.reason` when aborted while waiting. */
  async acquire(bytes: number, { signal }: WaitOptions = {}): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#waiters.size > 0 || !this.#fits(bytes)) await this.#wait(bytes, signal);
    else this.#used += bytes;
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#used -= bytes;
        this.#grant();
      },
    };
  }

  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#limit;
  }

  async #wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { bytes, grant: resolve };
    this.#waiters.add(waiter);
    try {
      await abortable(promise, signal);
    } catch (error) {
      // It may have been granted in the same turn.
      if (!this.#waiters.delete(waiter)) this.#used -= bytes;
      this.#grant();
      throw error;
    }
  }

  #grant(): void {
    for (const waiter of this.#waiters) {
      if (!this.#fits(waiter.bytes)) return;
      this.#waiters.delete(waiter);
      this.#used += waiter.bytes;
      waiter.grant();
    }
  }
}
