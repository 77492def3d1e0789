import { Semaphore } from "../async/semaphore.ts";
import type { WaitOptions } from "../async/wait-options.ts";

interface Lock {
  readonly semaphore: Semaphore;
  users: number;
}

/** One at a time for each key, in the order in which they asked; different keys do not wait. */
export class KeyLocks {
  readonly #locks = new Map<string, Lock>();

  /** Runs `work` while no one else has the key. Throws the signal's reason when aborted while waiting. */
  async run<T>(key: string, work: () => Promise<T>, options: WaitOptions = {}): Promise<T> {
    let lock = this.#locks.get(key);
    if (lock === undefined) {
      lock = { semaphore: new Semaphore(1), users: 0 };
      this.#locks.set(key, lock);
    }
    lock.users += 1;
    try {
      return await lock.semaphore.run(work, options);
    } finally {
      lock.users -= 1;
      if (lock.users === 0) this.#locks.delete(key);
    }
  }
}
