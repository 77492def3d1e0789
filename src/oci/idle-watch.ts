import type { WaitOptions } from "../async/wait-options.ts";

export interface IdleWatchOptions extends WaitOptions {
  /** How long a server may keep us waiting. */
  readonly timeoutMs: number;
}

const MIN_PROGRESS = 16 * 1024;
const MIN_BYTES_PER_MS = 1;

/** Fewer bytes than this in a whole timeout are as good as silence: a byte now and then holds nobody. */
export function leastProgress(timeoutMs: number): number {
  return Math.max(MIN_PROGRESS, timeoutMs * MIN_BYTES_PER_MS);
}

/**
 * The signal of one request: aborts with the caller's, when the server has kept us waiting for too
 * long, and when a deadline has passed. The time that we take ourselves does not count. Dispose it
 * with the request.
 */
export class IdleWatch implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#controller.abort(this.#outer?.reason);
  #timeoutMs: number;
  #timer: NodeJS.Timeout | undefined;
  #waitingSince = 0;
  #waitedMs = 0;
  #progress = 0;
  #isDone = false;

  constructor({ signal, timeoutMs }: IdleWatchOptions) {
    this.#timeoutMs = timeoutMs;
    this.#outer = signal;
    if (signal?.aborted) {
      this.#onAbort();
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** It is the server's turn. */
  wait(): void {
    if (this.#timer !== undefined || this.#isDone) {
      return;
    }
    this.#waitingSince = performance.now();
    const leftMs = Math.max(this.#timeoutMs - this.#waitedMs, 0);
    this.#timer = setTimeout(() => {
      this.#controller.abort(new Error(`next to nothing was heard for ${this.#timeoutMs} ms`));
    }, leftMs);
  }

  /** It is our turn. */
  pause(): void {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#waitedMs += performance.now() - this.#waitingSince;
    }
  }

  /** The server gave or took so many bytes. */
  heard(bytes: number): void {
    this.#progress += bytes;
    if (this.#progress >= leastProgress(this.#timeoutMs)) {
      this.#forgive();
    }
  }

  /** The wait begins anew, with another patience. */
  restart(timeoutMs: number): void {
    this.pause();
    this.#timeoutMs = timeoutMs;
    this.#forgive();
  }

  /** Aborts unless disposed within `ms`, however much comes meanwhile. */
  within(ms: number): Disposable {
    const timer = setTimeout(() => {
      this.#controller.abort(new Error(`it was not whole after ${ms} ms`));
    }, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }

  [Symbol.dispose](): void {
    this.pause();
    this.#isDone = true;
    this.#outer?.removeEventListener("abort", this.#onAbort);
  }

  #forgive(): void {
    this.#progress = 0;
    this.#waitedMs = 0;
  }
}
