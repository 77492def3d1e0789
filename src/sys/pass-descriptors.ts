import { SociError } from "../errors.ts";
import { EAGAIN, EINTR, errnoName } from "./errno.ts";
import { addressOf, sysClose, sysRecvmsg, sysSendmsg, sysSocketpair } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_DONTWAIT = 0x40;
const MSG_CTRUNC = 8;
const MSG_NOSIGNAL = 0x4000;

/** The kernel takes no more in one message. */
const MAX_DESCRIPTORS = 253;
const CMSG_HEADER_BYTES = 16;
const MSGHDR_BYTES = 56;

/** A message and the descriptors that came with it, which are the caller's to close. */
export interface PassedMessage {
  /** Empty, without descriptors: the other side has closed. */
  readonly bytes: Uint8Array;
  readonly descriptors: readonly number[];
}

/** Two connected unix stream sockets, close-on-exec. */
export function socketPair(): readonly [number, number] {
  const fds = new Int32Array(2);
  const failed = sysSocketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, fds);
  const [one, other] = fds;
  if (failed < 0 || one === undefined || other === undefined) {
    throw new SociError("unavailable", `Cannot make a pair of sockets: ${errnoName(-failed)}`);
  }
  return [one, other];
}

/** Sends copies of descriptors over a unix socket, with at least one byte. */
export function sendDescriptors(
  socket: number,
  descriptors: readonly number[],
  bytes: Uint8Array = new Uint8Array(1),
): void {
  if (bytes.length === 0 || descriptors.length < 1 || descriptors.length > MAX_DESCRIPTORS) {
    throw new RangeError(
      `Cannot send ${descriptors.length} descriptors with ${bytes.length} bytes, want 1 to ${MAX_DESCRIPTORS} with 1 or more`,
    );
  }
  const message = new Message(bytes, descriptors.length);
  message.putDescriptors(descriptors);
  const sent = retried(() => sysSendmsg(socket, message.header, MSG_NOSIGNAL));
  if (sent !== bytes.length) {
    throw new SociError(
      "unavailable",
      sent < 0
        ? `Cannot pass descriptors on: ${errnoName(-sent)}`
        : `Cannot pass descriptors on: ${sent} bytes sent, want ${bytes.length}`,
    );
  }
}

/**
 * Sends one message of a connection that keeps messages apart, with copies of descriptors; never waits,
 * and false when there is no room for it now. @throws unavailable when nobody receives any more
 */
export function sendMessage(
  socket: number,
  bytes: Uint8Array,
  descriptors: readonly number[] = [],
): boolean {
  const message = new Message(bytes, descriptors.length);
  message.putDescriptors(descriptors);
  const sent = retried(() => sysSendmsg(socket, message.header, MSG_NOSIGNAL | MSG_DONTWAIT));
  if (sent === -EAGAIN) return false;
  if (sent === bytes.length) return true;
  throw new SociError("unavailable", `Cannot send a message: ${errnoName(-sent)}`);
}

export interface ReceiveOptions {
  readonly maxBytes?: number;
  readonly maxDescriptors?: number;
  /** Whether to block for a message; else `undefined` is returned when there is none. Default false. */
  readonly wait?: boolean;
}

/** The next message on a unix socket. `data-loss` when it held more descriptors than there was room for. */
export function receiveDescriptors(
  socket: number,
  { maxBytes = 1, maxDescriptors = 1, wait = false }: ReceiveOptions = {},
): PassedMessage | undefined {
  const bytes = new Uint8Array(new ArrayBuffer(maxBytes));
  const message = new Message(bytes, maxDescriptors);
  const flags = MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT);
  const received = retried(() => sysRecvmsg(socket, message.header, flags));
  if (received === -EAGAIN) return undefined;
  if (received < 0) {
    throw new SociError("unavailable", `Cannot receive descriptors: ${errnoName(-received)}`);
  }
  const descriptors = message.takeDescriptors();
  return { bytes: bytes.subarray(0, received), descriptors };
}

/** struct msghdr with one buffer and room for descriptors; the parts it points to live as long as it does. */
class Message {
  readonly header = new Uint8Array(new ArrayBuffer(MSGHDR_BYTES));
  readonly #view = new DataView(this.header.buffer);
  readonly #iov = new Uint8Array(new ArrayBuffer(16));
  readonly #control: Uint8Array;
  readonly #controlView: DataView;

  constructor(bytes: Uint8Array, maxDescriptors: number) {
    const room = CMSG_HEADER_BYTES + 8 * Math.ceil(maxDescriptors / 2);
    this.#control = new Uint8Array(new ArrayBuffer(room));
    this.#controlView = new DataView(this.#control.buffer);
    const iov = new DataView(this.#iov.buffer);
    iov.setBigUint64(0, BigInt(addressOf(bytes)), true);
    iov.setBigUint64(8, BigInt(bytes.length), true);
    // msg_iov, msg_iovlen, msg_control, msg_controllen.
    this.#view.setBigUint64(16, BigInt(addressOf(this.#iov)), true);
    this.#view.setBigUint64(24, 1n, true);
    this.#view.setBigUint64(32, BigInt(addressOf(this.#control)), true);
    this.#view.setBigUint64(40, BigInt(room), true);
  }

  putDescriptors(descriptors: readonly number[]): void {
    const view = this.#controlView;
    const length = CMSG_HEADER_BYTES + 4 * descriptors.length;
    if (descriptors.length === 0) {
      this.#view.setBigUint64(40, 0n, true);
      return;
    }
    view.setBigUint64(0, BigInt(length), true);
    view.setInt32(8, SOL_SOCKET, true);
    view.setInt32(12, SCM_RIGHTS, true);
    for (const [i, fd] of descriptors.entries()) {
      view.setInt32(CMSG_HEADER_BYTES + 4 * i, fd, true);
    }
    // Without the padding behind an odd number.
    this.#view.setBigUint64(40, BigInt(length), true);
  }

  takeDescriptors(): readonly number[] {
    const isCut = (this.#view.getUint32(48, true) & MSG_CTRUNC) !== 0;
    const filled = this.#view.getUint32(40, true);
    const view = this.#controlView;
    const isRights =
      filled >= CMSG_HEADER_BYTES &&
      view.getInt32(8, true) === SOL_SOCKET &&
      view.getInt32(12, true) === SCM_RIGHTS;
    const length = isRights ? Math.min(view.getUint32(0, true), filled) - CMSG_HEADER_BYTES : 0;
    const descriptors = Array.from({ length: Math.floor(length / 4) }, (_, i) =>
      view.getInt32(CMSG_HEADER_BYTES + 4 * i, true),
    );
    if (!isCut) return descriptors;
    for (const fd of descriptors) sysClose(fd);
    throw new SociError(
      "data-loss",
      `Cannot receive descriptors: more than ${descriptors.length} came`,
    );
  }
}

function retried(call: () => number): number {
  for (;;) {
    const result = call();
    if (result !== -EINTR) return result;
  }
}
