import { addressOf, sysWrite, sysWriteFrom } from "../sys/libc.ts";
import { FUSE_NOTIFY_INVAL_ENTRY, FUSE_NOTIFY_INVAL_INODE, FUSE_NOTIFY_RESEND } from "./abi.ts";
import {
  fuse_notify_inval_entry_out,
  fuse_notify_inval_inode_out,
  fuse_out_header,
} from "./abi-structs.ts";
import { writeI64 } from "./wire-struct.ts";

// Replies and notifications from any thread. Each is one write(2), so they may cross one another.
// A reply counts only on the descriptor that its request was read from. All return 0, or -errno:
// -ENOENT when nobody waits for the answer any more, -ENODEV or -ECONNABORTED when the mount is gone.

const HEADER = fuse_out_header.bytes;

/** Fails a request; `errno` is positive, 0 for success without data. */
export function replyError(fd: number, unique: bigint, errno: number): number {
  const frame = new Uint8Array(HEADER);
  writeReplyHeader(new DataView(frame.buffer), 0, { length: HEADER, error: -errno, unique });
  return sent(sysWrite(fd, frame));
}

export interface ReplyData {
  /** Has the data from `start` to `end`; the 16 bytes before `start` are overwritten. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Answers a request with data; nothing is copied. */
export function replyData(fd: number, unique: bigint, { bytes, start, end }: ReplyData): number {
  if (!(start >= HEADER && end >= start && end <= bytes.length)) {
    throw new RangeError(
      `Cannot reply with bytes ${start} to ${end} of ${bytes.length}, want ${HEADER} bytes before them`,
    );
  }
  const length = HEADER + end - start;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  writeReplyHeader(view, start - HEADER, { length, error: 0, unique });
  return sent(sysWriteFrom(fd, addressOf(bytes) + start - HEADER, length));
}

/** Has the kernel queue again what was read by servers that did not answer. Linux 6.9: FUSE_HAS_RESEND. */
export function notifyResend(fd: number): number {
  return sent(sysWrite(fd, encodeNotification(FUSE_NOTIFY_RESEND, new Uint8Array(0))));
}

/** Has the kernel forget a name, present or absent. -ENOENT: it did not know it. */
export function notifyInvalEntry(fd: number, parent: number, name: Uint8Array): number {
  const { bytes, at } = fuse_notify_inval_entry_out;
  const body = new Uint8Array(bytes + name.length + 1);
  const view = new DataView(body.buffer);
  writeI64(view, at.parent, parent);
  view.setUint32(at.namelen, name.length, true);
  body.set(name, bytes);
  return sent(sysWrite(fd, encodeNotification(FUSE_NOTIFY_INVAL_ENTRY, body)));
}

/** Has the kernel forget a node's attributes, and its cached data or listing too. -ENOENT: it did not know it. */
export function notifyInvalInode(fd: number, node: number): number {
  const { bytes, at } = fuse_notify_inval_inode_out;
  const body = new Uint8Array(bytes);
  // Offset and length 0: everything.
  writeI64(new DataView(body.buffer), at.ino, node);
  return sent(sysWrite(fd, encodeNotification(FUSE_NOTIFY_INVAL_INODE, body)));
}

/** A message of the server's own. */
export function encodeNotification(code: number, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER + body.length);
  const view = new DataView(frame.buffer);
  writeReplyHeader(view, 0, { length: frame.length, error: code, unique: 0n });
  frame.set(body, HEADER);
  return frame;
}

interface ReplyHeader {
  readonly length: number;
  readonly error: number;
  readonly unique: bigint;
}

function writeReplyHeader(view: DataView, start: number, header: ReplyHeader): void {
  const { at } = fuse_out_header;
  view.setUint32(start + at.len, header.length, true);
  view.setInt32(start + at.error, header.error, true);
  view.setBigUint64(start + at.unique, header.unique, true);
}

function sent(written: number): number {
  return Math.min(written, 0);
}
