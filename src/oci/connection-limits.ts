import { Semaphore } from "../async/semaphore.ts";
import type { WaitOptions } from "../async/wait-options.ts";

interface Origin {
  readonly permits: Semaphore;
  users: number;
}

// Long against a pause for hashing or inflating a piece, short against a user's patience.
const LONGEST_PAUSE_MS = 1000;

/** Bounds how many requests are with one host (scheme, name and port) at once; the others wait in line. */
export class ConnectionLimits {
  readonly #perOrigin: number;
  readonly #origins = new Map<string, Origin>();

  /** @throws RangeError unless `perOrigin` is a whole number of at least 1 */
  constructor(perOrigin: number) {
    if (!Number.isSafeInteger(perOrigin) || perOrigin < 1) {
      throw new RangeError(`Cannot allow ${perOrigin} connections, want 1 or more`);
    }
    this.#perOrigin = perOrigin;
  }

  /** A place among the requests to `origin`. Dispose it with the request's end. */
  async acquire(origin: string, options: WaitOptions = {}): Promise<ConnectionPermit> {
    const entry = this.#origins.get(origin) ?? this.#add(origin);
    entry.users += 1;
    try {
      const permit = await entry.permits.acquire(options);
      return new ConnectionPermit(() => {
        permit[Symbol.dispose]();
        this.#leave(origin, entry);
      });
    } catch (error) {
      this.#leave(origin, entry);
      throw error;
    }
  }

  #add(origin: string): Origin {
    const entry = { permits: new Semaphore(this.#perOrigin), users: 0 };
    this.#origins.set(origin, entry);
    return entry;
  }

  #leave(origin: string, entry: Origin): void {
    entry.users -= 1;
    if (entry.users === 0) {
      this.#origins.delete(origin);
    }
  }
}

/**
 * A place among the requests to a host. An answer that its reader has let lie for a second loses
 * it and goes on without: a reader of many answers in turn would else wait for those behind it.
 */
export class ConnectionPermit implements Disposable {
  #release: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(release: () => void) {
    this.#release = release;
  }

  /** The reader is busy with something else. */
  pause(): void {
    if (this.#release !== undefined) {
      this.#timer = setTimeout(() => this[Symbol.dispose](), LONGEST_PAUSE_MS);
    }
  }

  /** The reader is back. */
  resume(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  [Symbol.dispose](): void {
    this.resume();
    this.#release?.();
    this.#release = undefined;
  }
}
