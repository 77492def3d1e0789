/** What a thread is to whoever keeps it. */
interface Thread {
  terminate(): void;
}

export interface WarmThreadsOptions<T extends Thread> {
  readonly spawn: () => T;
  /** How many are started at once. */
  readonly count: number;
  /** How long after one was taken another is started in its place; never when absent. */
  readonly refillMs?: number | undefined;
}

/**
 * Threads that are started ahead, so that they load their code while other things are done: to start
 * one takes this thread 10 ms and more.
 */
export class WarmThreads<T extends Thread> implements Disposable {
  readonly #options: WarmThreadsOptions<T>;
  readonly #ready: T[];
  #timer: NodeJS.Timeout | undefined;
  #isDisposed = false;

  constructor(options: WarmThreadsOptions<T>) {
    this.#options = options;
    this.#ready = Array.from({ length: options.count }, options.spawn);
  }

  /** One of them, or a fresh one when there is none left; whoever calls ends it. */
  take(): T {
    const { spawn, refillMs } = this.#options;
    if (refillMs !== undefined && !this.#isDisposed) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#refill(), refillMs);
      this.#timer.unref();
    }
    return this.#ready.pop() ?? spawn();
  }

  /** Ends those that nobody has taken. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
    for (const thread of this.#ready.splice(0)) thread.terminate();
  }

  #refill(): void {
    const { spawn, count } = this.#options;
    while (this.#ready.length < count) this.#ready.push(spawn());
  }
}
