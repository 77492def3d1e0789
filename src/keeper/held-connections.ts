import { SociError } from "../errors.ts";
import { notifyResend } from "../fuse/replies.ts";
import { sysClose } from "../sys/libc.ts";
import { POLLERR, pollNow } from "../sys/poll-now.ts";
import { abortFuse } from "../sys/unmount-fuse.ts";
import type { HeldFacts } from "./keeper-message.ts";

/** A FUSE connection by its descriptor. */
export interface HeldConnection extends HeldFacts {
  readonly fd: number;
}

/** As many mounts as one machine could have of us, and descriptors as one process may. */
const MAX_HELD = 512;

/**
 * Descriptors that are kept open, by the device of their mount. They are this one's to close; whoever
 * disposes of it ends what nobody else holds.
 */
export class HeldConnections implements Disposable {
  readonly #held = new Map<string, HeldConnection>();

  get count(): number {
    return this.#held.size;
  }

  /** Takes a descriptor over, in place of one of the same device. @throws unsupported when there are too many */
  put(connection: HeldConnection): void {
    const { device } = connection;
    if (!this.#held.has(device) && this.#held.size >= MAX_HELD) {
      throw new SociError("unsupported", `Cannot keep more than ${MAX_HELD} connections`);
    }
    this.drop(device);
    this.#held.set(device, connection);
  }

  /** Closes one; none when it is not held. */
  drop(device: string): void {
    const held = this.#held.get(device);
    this.#held.delete(device);
    if (held !== undefined) sysClose(held.fd);
  }

  /** The first whose device is behind `after`, as text. It stays this one's. */
  next(after: string): HeldConnection | undefined {
    let first: HeldConnection | undefined;
    for (const held of this.#held.values()) {
      if (held.device > after && (first === undefined || held.device < first.device)) first = held;
    }
    return first;
  }

  /** Closes those of which the mount is no more. */
  dropEnded(): void {
    for (const { device, fd } of [...this.#held.values()]) {
      if (isConnectionEnded(fd)) this.drop(device);
    }
  }

  /**
   * Has the kernel queue again what a server had read that has ended: so whoever waits for it can be
   * killed, and the next server gets it. Where the kernel cannot nothing happens.
   */
  resendAll(): void {
    for (const { fd, resends } of this.#held.values()) if (resends) notifyResend(fd);
  }

  /** Ends a connection, whoever else holds it: all who wait for an answer fail. */
  async abort(device: string): Promise<void> {
    const held = this.#held.get(device);
    if (held === undefined) return;
    // Of one that has ended the kernel may have given the number to another.
    if (!isConnectionEnded(held.fd)) await abortFuse(device);
    this.drop(device);
  }

  async abortAll(): Promise<void> {
    for (const device of [...this.#held.keys()]) await this.abort(device);
  }

  [Symbol.dispose](): void {
    for (const device of [...this.#held.keys()]) this.drop(device);
  }
}

/** Whether a FUSE connection has been aborted, or its mount is no more. Does not wait. */
export function isConnectionEnded(fd: number): boolean {
  return (pollNow(fd) & POLLERR) !== 0;
}
