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
import { fuse_in_header, fuse_out_header } from "./abi-structs.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { RawFileSystem } from "./filesystem.ts";
import type { FrameBuffers } from "./frame-buffers.ts";
import { HelpLine, type HelpOptions } from "./help-line.ts";
import type { FuseNegotiated } from "./init.ts";
import { RequestWaiter } from "./request-waiter.ts";
import { SpinGauge } from "./spin-gauge.ts";

/** Why serve() came back: somebody wrote the eventfd, or nobody can use the mount any more. */
export type ServeEnd = "woken" | "unmounted";

export interface FuseChannelOptions {
  /** A descriptor of the connection, non-blocking, used by this thread alone. It stays the caller's. */
  readonly fd: number;
  /** An eventfd that brings serve() back. It stays the caller's. */
  readonly wakeFd: number;
  readonly negotiated: FuseNegotiated;
  readonly fileSystem: RawFileSystem;
  /** Where several threads share the connection. */
  readonly help?: HelpOptions;
  /** Whether serve() is to come back, asked after each request: a busy thread looks at its eventfd rarely. */
  readonly isCalled?: () => boolean;
  /**
   * Where requests are to stand while they are answered, as in a RequestJournal: its first number is 0
   * when none does. Memory of its own else.
   */
  readonly request?: Uint8Array | undefined;
  readonly log?: Logger;
}

const HEADER = fuse_out_header.bytes;
/** A thread that is never idle looks at its eventfd after so many requests. */
const REQUESTS_PER_LOOK = 256;
/** A thread that was called for help rests again after so long without a request. */
const HELP_IDLE_MS = 5;
/** Longer than a client takes from one answer to its next question. */
const SPIN_MS = 0.04;

/** One thread's share of a FUSE connection. Made, used and disposed of in that thread. */
export class FuseChannel implements Disposable {
  readonly #fd: number;
  readonly #log: Logger;
  readonly #dispatcher: Dispatcher;
  readonly #buffers: FrameBuffers;
  readonly #waiter: RequestWaiter;
  readonly #spin = new SpinGauge();
  readonly #help: HelpLine | undefined;
  readonly #isCalled: () => boolean;
  /** Requests since the eventfd was looked at. */
  #sinceLook = 0;

  constructor(options: FuseChannelOptions) {
    const { fd, wakeFd, negotiated, fileSystem, help, isCalled, log = NO_LOG } = options;
    this.#fd = fd;
    this.#isCalled = isCalled ?? (() => false);
    this.#log = log;
    const { maxRead } = negotiated;
    this.#dispatcher = new Dispatcher({ fileSystem, maxRead, fd, request: options.request, log });
    this.#buffers = this.#dispatcher.buffers;
    this.#waiter = new RequestWaiter(fd, wakeFd);
    this.#help = help === undefined ? undefined : new HelpLine(help, wakeFd);
  }

  /**
   * Answers requests until it is woken or the mount has ended; blocks this thread. May be called
   * again after "woken". Throws when the device fails.
   */
  serve(): ServeEnd {
    const help = this.#help;
    if (help?.isWokenAtRest()) return "woken";
    const idleMs = help?.rests ? HELP_IDLE_MS : -1;
    for (;;) {
      const failed = this.#serveQueue();
      if (failed === 0) return "woken";
      if (isGone(failed)) {
        // Who rests sees no end of the mount.
        help?.call();
        return "unmounted";
      }
      if (failed !== -EAGAIN) {
        throw new SociError("internal", `Cannot read FUSE requests: ${errnoName(-failed)}`);
      }
      // A thread that looked, and found, for a while may not have slept since.
      if (this.#sinceLook >= REQUESTS_PER_LOOK && this.#isWoken()) return "woken";
      if (!help?.rests && this.#spin.isWorthIt() && this.#spinForRequest()) continue;
      const end = this.#waiter.wait(idleMs);
      if (end === "woken" || (end === "idle" && help?.isWokenAtRest())) return "woken";
    }
  }

  /** The request that is being answered, for whoever puts it aside. */
  get frame(): Uint8Array {
    const { request, requestView } = this.#buffers;
    return request.subarray(0, requestView.getUint32(fuse_in_header.at.len, true));
  }

  /** Answers a request that another server had read. */
  replay(frame: Uint8Array): void {
    const { request } = this.#buffers;
    if (frame.length > request.length) return;
    request.set(frame);
    this.#handle(frame.length, false);
  }

  [Symbol.dispose](): void {
    this.#help?.[Symbol.dispose]();
    this.#waiter[Symbol.dispose]();
  }

  /** Answers what has come, at most so much that the eventfd is looked at: -EAGAIN; 0 when it is called; or why there is no more. */
  #serveQueue(): number {
    for (let queued = false; this.#sinceLook < 2 * REQUESTS_PER_LOOK; queued = true) {
      const failed = this.#serveNext(queued);
      if (failed < 0) return failed;
      if (this.#isCalled()) return 0;
    }
    return -EAGAIN;
  }

  /** Looks for a request for a moment; whether there was one, or the end of the mount. */
  #spinForRequest(): boolean {
    const end = performance.now() + SPIN_MS;
    do {
      if (this.#serveNext(false) !== -EAGAIN) {
        this.#spin.record(true);
        return true;
      }
    } while (performance.now() < end);
    this.#spin.record(false);
    return false;
  }

  /** 0 when a request was answered, else -errno. */
  #serveNext(queued: boolean): number {
    const { request, requestAddress } = this.#buffers;
    for (;;) {
      const length = sysReadTo(this.#fd, requestAddress, request.length);
      // The end of a file is the end of the mount; the device itself says ENODEV.
      if (length === 0) return -ENODEV;
      if (length > 0) {
        this.#sinceLook += 1;
        this.#handle(length, queued);
        return 0;
      }
      if (!isPassing(length)) return length;
    }
  }

  #handle(length: number, queued: boolean): void {
    if (this.#dispatcher.handle(length)) this.#write(queued);
    // In a journal that says that it has been answered.
    this.#buffers.requestView.setUint32(fuse_in_header.at.len, 0, true);
  }

  #isWoken(): boolean {
    this.#sinceLook = 0;
    return this.#waiter.isWoken();
  }

  #write(queued: boolean): void {
    const { address, start, end, requestView } = this.#buffers;
    const size = end - start;
    const written = sysWriteFrom(this.#fd, address + start - HEADER, size + HEADER);
    const client = requestView.getUint32(fuse_in_header.at.pid, true);
    this.#help?.served(client, size, queued);
    // ENOENT: nobody waits for it any more. When the mount is gone, the next read says so.
    if (written >= 0 || written === -ENOENT || isGone(written)) return;
    this.#log.error("FUSE reply was refused", { errno: errnoName(-written), size });
  }
}

function isGone(result: number): boolean {
  return result === -ENODEV || result === -ECONNABORTED;
}

/** A signal; a request that was given up; one too large for any buffer, which the kernel has failed. */
function isPassing(result: number): boolean {
  return result === -EINTR || result === -ENOENT || result === -EIO || result === -E2BIG;
}
