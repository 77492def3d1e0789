import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { NO_LOG } from "../observability/log.ts";
import {
  E2BIG,
  EAGAIN,
  ECONNABORTED,
  EINTR,
  EIO,
  ENODEV,
  ENOENT,
  errnoName,
} from "../sys/errno.ts";
import { sysReadTo, sysWriteFrom } from "../sys/libc.ts";
import { fuse_out_header } from "./abi-structs.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { RawFileSystem } from "./filesystem.ts";
import type { FrameBuffers } from "./frame-buffers.ts";
import type { FuseNegotiated } from "./init.ts";
import { RequestWaiter } from "./request-waiter.ts";

/** Why serve() came back: somebody wrote the eventfd, or nobody can use the mount any more. */
export type ServeEnd = "woken" | "unmounted";

export interface FuseChannelOptions {
  /** A descriptor of the connection, non-blocking, used by this thread alone. It stays the caller's. */
  readonly fd: number;
  /** An eventfd that brings serve() back. It stays the caller's. */
  readonly wakeFd: number;
  readonly negotiated: FuseNegotiated;
  readonly fileSystem: RawFileSystem;
  readonly log?: Logger;
}

const HEADER = fuse_out_header.bytes;
/** A thread that is never idle looks at its eventfd after so many requests. */
const REQUESTS_PER_LOOK = 256;

/** One thread's share of a FUSE connection. */
export class FuseChannel implements Disposable {
  readonly #fd: number;
  readonly #log: Logger;
  readonly #dispatcher: Dispatcher;
  readonly #buffers: FrameBuffers;
  readonly #waiter: RequestWaiter;

  constructor({ fd, wakeFd, negotiated, fileSystem, log = NO_LOG }: FuseChannelOptions) {
    this.#fd = fd;
    this.#log = log;
    const { maxRead } = negotiated;
    this.#dispatcher = new Dispatcher({ fileSystem, maxRead, fd, log });
    this.#buffers = this.#dispatcher.buffers;
    this.#waiter = new RequestWaiter(fd, wakeFd);
  }

  /**
   * Answers requests until it is woken or the mount has ended; blocks this thread. May be called
   * again after "woken". Throws when the device fails.
   */
  serve(): ServeEnd {
    const fd = this.#fd;
    const { request, requestAddress } = this.#buffers;
    const room = request.length;
    let left = REQUESTS_PER_LOOK;
    for (;;) {
      const length = sysReadTo(fd, requestAddress, room);
      if (length >= 0) {
        if (this.#dispatcher.handle(length)) this.#write();
        left -= 1;
        if (left > 0) continue;
        left = REQUESTS_PER_LOOK;
        if (this.#waiter.isWoken()) return "woken";
      } else if (length === -EAGAIN) {
        if (this.#waiter.wait()) return "woken";
      } else if (isGone(length)) {
        return "unmounted";
      } else if (!isPassing(length)) {
        throw new SociError("internal", `Cannot read FUSE requests: ${errnoName(-length)}`);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#waiter[Symbol.dispose]();
  }

  #write(): void {
    const { address, start, end } = this.#buffers;
    const written = sysWriteFrom(this.#fd, address + start - HEADER, end - start + HEADER);
    // ENOENT: nobody waits for it any more. When the mount is gone, the next read says so.
    if (written >= 0 || written === -ENOENT || isGone(written)) return;
    this.#log.error("FUSE reply was refused", { errno: errnoName(-written), size: end - start });
  }
}

function isGone(result: number): boolean {
  return result === -ENODEV || result === -ECONNABORTED;
}

/** A signal; a request that was given up; one too large for any buffer, which the kernel has failed. */
function isPassing(result: number): boolean {
  return result === -EINTR || result === -ENOENT || result === -EIO || result === -E2BIG;
}
