import { sysWrite } from "../sys/libc.ts";
import { RequestWaiter, takeEvents } from "./request-waiter.ts";

/** How threads share a connection: one serves, the others rest until it has more than it can do. */
export interface HelpOptions {
  /** An eventfd of all threads of the connection. It stays the caller's. */
  readonly fd: number;
  /** Whether this thread rests. One thread of a connection must not. */
  readonly rests: boolean;
}

/** Requests until the next call. */
const CALL_EVERY = 64;
/** A read that takes so long that what waits behind it would be better off with another thread. */
const LARGE_BYTES = 64 << 10;
/** Small requests of several clients, none of which found this thread idle. */
const LONG_QUEUE = 64;
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

/**
 * Wakes resting threads when requests queue up that several threads could answer. Not every queue is
 * one: a client that asks one thing after another is often ahead of the thread that has just answered
 * it, and a second thread would only be woken, on another CPU, for work that is done when it comes.
 */
export class HelpLine implements Disposable {
  readonly #fd: number;
  readonly #rest: RequestWaiter | undefined;
  #sinceCall = CALL_EVERY;
  #queue = 0;
  #client = 0;
  #replyBytes = 0;

  constructor({ fd, rests }: HelpOptions, wakeFd: number) {
    this.#fd = fd;
    this.#rest = rests ? new RequestWaiter(fd, wakeFd) : undefined;
  }

  get rests(): boolean {
    return this.#rest !== undefined;
  }

  /** Called after each reply; `queued`: the request was there when the one before it had been answered. */
  served(client: number, replyBytes: number, queued: boolean): void {
    this.#sinceCall += 1;
    if (!queued) this.#queue = 0;
    else if (client !== this.#client) this.#queue += 1;
    const isMuch = this.#queue >= LONG_QUEUE || (queued && this.#replyBytes >= LARGE_BYTES);
    if (isMuch && this.#sinceCall >= CALL_EVERY) {
      this.#sinceCall = 0;
      this.call();
    }
    this.#client = client;
    this.#replyBytes = replyBytes;
  }

  /** Has one resting thread look for requests. */
  call(): void {
    sysWrite(this.#fd, ONE);
  }

  /** Blocks until there is a call, or a word for this thread: true then. A thread that never rests goes on. */
  isWokenAtRest(): boolean {
    for (;;) {
      const end = this.#rest?.wait(-1) ?? "ready";
      if (end === "woken") return true;
      if (this.#rest === undefined || takeEvents(this.#fd)) return false;
    }
  }

  [Symbol.dispose](): void {
    this.#rest?.[Symbol.dispose]();
  }
}
