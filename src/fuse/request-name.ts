/** Longer names are in no directory that Linux can show. */
const NAME_MAX = 255;

/** What is not a name: without its zero byte, empty, or with bytes behind it. */
export const BAD_NAME = "bad";
export const TOO_LONG = "too long";

/**
 * Names within a request buffer. Requests start where the buffer does, so there are as many views
 * as there are starts and lengths, and each is made once.
 */
export class RequestName {
  readonly #request: Uint8Array;
  readonly #views = new Map<number, Uint8Array[]>();

  constructor(request: Uint8Array) {
    this.#request = request;
  }

  /** The name that fills the request from `start` to `end`, with a zero byte at its end. */
  view(start: number, end: number): Uint8Array | typeof BAD_NAME | typeof TOO_LONG {
    const request = this.#request;
    const length = end - start - 1;
    if (length < 1 || request[end - 1] !== 0) return BAD_NAME;
    if (length > NAME_MAX) return TOO_LONG;
    for (let i = start; i < end - 1; i++) if (request[i] === 0) return BAD_NAME;
    let views = this.#views.get(start);
    if (views === undefined) {
      views = [];
      this.#views.set(start, views);
    }
    let view = views[length];
    if (view === undefined) {
      view = request.subarray(start, start + length);
      views[length] = view;
    }
    return view;
  }
}
