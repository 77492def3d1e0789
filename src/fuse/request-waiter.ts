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

/** What a wait ended with: something to do, a word from another thread, or nothing for so long. */
export type WaitEnd = "ready" | "woken" | "idle";

const WORK = 0;
const WAKE = 1;

/** Waits for work on one descriptor, or for a word on an eventfd. Of several threads that wait for the same work one is woken. */
export class RequestWaiter implements Disposable {
  readonly #wakeFd: number;
  readonly #epoll: number;
  readonly #events = new Uint8Array(2 * EPOLL_EVENT_BYTES);
  readonly #view = new DataView(this.#events.buffer);
  #open = true;

  constructor(workFd: number, wakeFd: number) {
    this.#wakeFd = wakeFd;
    const epoll = sysEpollCreate();
    if (epoll < 0) throw failure(epoll);
    this.#epoll = epoll;
    // poll(2) would wake every thread of the connection for each request.
    const failed = [
      sysEpollAdd(epoll, workFd, { events: EPOLLIN | EPOLLEXCLUSIVE, data: WORK }),
      sysEpollAdd(epoll, wakeFd, { events: EPOLLIN, data: WAKE }),
    ].find((result) => result < 0);
    if (failed !== undefined) {
      sysClose(epoll);
      throw failure(failed);
    }
  }

  /** Blocks; -1 waits for ever. */
  wait(timeoutMs: number): WaitEnd {
    const ready = sysEpollWait(this.#epoll, this.#events, timeoutMs);
    if (ready === 0) return "idle";
    if (ready < 0) {
      if (ready === -EINTR) return "ready";
      throw failure(ready);
    }
    for (let i = 0; i < ready; i++) {
      if (epollData(this.#view, i) === WAKE && takeEvents(this.#wakeFd)) return "woken";
    }
    return "ready";
  }

  /** Whether the eventfd was written since the last look; does not wait. */
  isWoken(): boolean {
    return takeEvents(this.#wakeFd);
  }

  [Symbol.dispose](): void {
    if (this.#open) sysClose(this.#epoll);
    this.#open = false;
  }
}

const count = new Uint8Array(8);

/** Empties an eventfd; false when it was empty. */
export function takeEvents(fd: number): boolean {
  return sysRead(fd, count) > 0;
}

function failure(result: number): SociError {
  return new SociError("internal", `Cannot wait for FUSE requests: ${errnoName(-result)}`);
}
