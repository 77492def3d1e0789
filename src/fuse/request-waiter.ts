import { SociError } from "../errors.ts";
import { EINTR, errnoName } from "../sys/errno.ts";
import {
  EPOLL_EVENT_BYTES,
  EPOLLEXCLUSIVE,
  EPOLLIN,
  epollData,
  sysClose,
  sysEpollAdd,
  sysEpollCreate,
  sysEpollWait,
  sysRead,
} from "../sys/libc.ts";

const REQUESTS = 0;
const WAKE = 1;

/** Waits for requests, or for a word from another thread. */
export class RequestWaiter implements Disposable {
  readonly #wakeFd: number;
  readonly #epoll: number;
  readonly #events = new Uint8Array(2 * EPOLL_EVENT_BYTES);
  readonly #view = new DataView(this.#events.buffer);
  readonly #count = new Uint8Array(8);
  #open = true;

  constructor(fd: number, wakeFd: number) {
    this.#wakeFd = wakeFd;
    const epoll = sysEpollCreate();
    if (epoll < 0) throw failure(epoll);
    this.#epoll = epoll;
    // poll(2) would wake every thread of the connection for each request.
    const added = [
      sysEpollAdd(epoll, fd, { events: EPOLLIN | EPOLLEXCLUSIVE, data: REQUESTS }),
      sysEpollAdd(epoll, wakeFd, { events: EPOLLIN, data: WAKE }),
    ].find((result) => result < 0);
    if (added !== undefined) {
      sysClose(epoll);
      throw failure(added);
    }
  }

  /** Blocks until there is something to read, or the eventfd was written: true then. */
  wait(): boolean {
    const ready = sysEpollWait(this.#epoll, this.#events, -1);
    if (ready < 0) {
      if (ready === -EINTR) return false;
      throw failure(ready);
    }
    for (let i = 0; i < ready; i++) {
      if (epollData(this.#view, i) === WAKE) return this.isWoken();
    }
    return false;
  }

  /** Whether the eventfd was written since the last look; does not wait. */
  isWoken(): boolean {
    return sysRead(this.#wakeFd, this.#count) > 0;
  }

  [Symbol.dispose](): void {
    if (this.#open) sysClose(this.#epoll);
    this.#open = false;
  }
}

function failure(result: number): SociError {
  return new SociError("internal", `Cannot wait for FUSE requests: ${errnoName(-result)}`);
}
