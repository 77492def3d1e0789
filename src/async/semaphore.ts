import type { WaitOptions } from "./wait-options.ts";

interface Waiter {
  readonly grant: () => void;
}

/** Bounds parallel work: at most `permits` holders at once, served in the order they asked. */
export class Semaphore {
  readonly #waiters = new Set<Waiter>();
  #free: number;

  /** @throws RangeError unless `permits` is a whole number of at least 1 */
  constructor(permits: number) {
    if (!Number.isSafeInteger(permits) || permits < 1) {
      throw new RangeError(`Cannot make a semaphore of ${permits} permits, want 1 or more`);
    }
    this.#free = permits;
  }

  /** Takes a permit; disposing gives it back, once. Throws `signal.reason` when aborted while waiting. */
  async acquire({ signal }: WaitOptions = {}): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      await this.#wait(signal);
    }
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) {
          held = false;
          this.#release();
        }
      },
    };
  }

  /** Runs `work` while holding a permit. */
  async run<T>(work: () => Promise<T>, options: WaitOptions = {}): Promise<T> {
    using _permit = await this.acquire(options);
    return await work();
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#waiters.delete(waiter);
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        grant: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  #release(): void {
    for (const waiter of this.#waiters) {
      // The permit goes over directly: nobody who asks meanwhile can overtake.
      this.#waiters.delete(waiter);
      waiter.grant();
      return;
    }
    this.#free += 1;
  }
}
