import { SociError } from "../errors.ts";
import { ECONNABORTED, EINTR, ENODEV, ENOENT, errnoName } from "../sys/errno.ts";
import { openFuseDevice } from "../sys/fuse-device.ts";
import {
  POLLIN,
  sysClose,
  sysIoctl,
  sysPoll,
  sysRead,
  sysSetNonBlocking,
  sysWrite,
} from "../sys/libc.ts";
import { FUSE_DEV_IOC_CLONE, FUSE_MIN_READ_BUFFER } from "./abi.ts";
import {
  agreeOn,
  decodeInit,
  encodeInitReply,
  type FuseInitOptions,
  type FuseNegotiated,
} from "./init.ts";
import { replyError } from "./replies.ts";

/** The kernel queues INIT within mount(2). */
const INIT_TIMEOUT_MS = 10_000;
const EPROTO = 71;

/** A new descriptor of a living connection, for one more thread. The caller closes it. */
export function cloneFuseDevice(fd: number): number {
  const clone = openFuseDevice();
  const argument = new Uint8Array(Uint32Array.of(fd).buffer);
  const cloned = sysIoctl(clone, FUSE_DEV_IOC_CLONE, argument);
  if (cloned < 0) {
    sysClose(clone);
    throw deviceError(`Cannot share the FUSE connection of descriptor ${fd}`, cloned);
  }
  return clone;
}

/**
 * Answers INIT on the descriptor of a new mount, and makes it non-blocking. Waits, for a moment:
 * the kernel has sent it when mount(2) returns.
 */
export function negotiateFuse(fd: number, options: FuseInitOptions = {}): FuseNegotiated {
  const set = sysSetNonBlocking(fd);
  if (set < 0) throw deviceError(`Cannot use descriptor ${fd}`, set);
  const request = readFirst(fd);
  const offer = decodeInit(request);
  try {
    const negotiated = agreeOn(offer, options);
    const written = sysWrite(fd, encodeInitReply(offer.unique, negotiated));
    if (written < 0) throw deviceError("Cannot answer FUSE_INIT", written);
    return negotiated;
  } catch (error) {
    // Whoever waits for the mount hears of it now.
    replyError(fd, offer.unique, EPROTO);
    throw error;
  }
}

function readFirst(fd: number): Uint8Array {
  const buffer = new Uint8Array(FUSE_MIN_READ_BUFFER);
  const poll = new Uint8Array(8);
  const view = new DataView(poll.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, POLLIN, true);
  const deadline = performance.now() + INIT_TIMEOUT_MS;
  for (;;) {
    const left = Math.ceil(deadline - performance.now());
    const ready = left <= 0 ? 0 : sysPoll(poll, left);
    if (ready === -EINTR) continue;
    if (ready === 0) {
      throw new SociError(
        "unavailable",
        `Cannot start a FUSE connection: no FUSE_INIT within ${INIT_TIMEOUT_MS} ms`,
      );
    }
    if (ready < 0) throw deviceError("Cannot wait for FUSE_INIT", ready);
    const count = sysRead(fd, buffer);
    if (count >= 0) return buffer.subarray(0, count);
    // ENOENT: that request was given up before it was read.
    if (count !== -EINTR && count !== -ENOENT) throw deviceError("Cannot read FUSE_INIT", count);
  }
}

function deviceError(what: string, failed: number): SociError {
  const gone = failed === -ENODEV || failed === -ECONNABORTED;
  return new SociError(
    gone ? "failed-precondition" : "internal",
    `${what}: ${errnoName(-failed)}${gone ? " (unmounted)" : ""}`,
  );
}
