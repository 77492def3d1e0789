import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  FUSE_NOTIFY_INVAL_ENTRY,
  FUSE_NOTIFY_INVAL_INODE,
  FUSE_NOTIFY_RESEND,
} from "../../src/fuse/abi.ts";
import {
  notifyInvalEntry,
  notifyInvalInode,
  notifyResend,
  replyData,
  replyError,
} from "../../src/fuse/replies.ts";
import { EBADF, EINTR } from "../../src/sys/errno.ts";
import { sysClose, sysRead } from "../../src/sys/libc.ts";
import { socketPair } from "../../src/sys/pass-descriptors.ts";
import { replyOf } from "../support/fuse-frame.ts";

const RESENT = 0x8000_0000_0000_0010n;

// A socket for the device: what is written at one end is read at the other.
let ours: number;
let kernel: number;

beforeEach(() => {
  [ours, kernel] = socketPair();
});

afterEach(() => {
  sysClose(ours);
  sysClose(kernel);
});

function written(): Uint8Array {
  const buffer = new Uint8Array(4096);
  return buffer.subarray(0, sysRead(kernel, buffer));
}

describe("replyError()", () => {
  test("writes a header with the error", () => {
    expect(replyError(ours, RESENT, EINTR)).toBe(0);
    const { errno, unique, body } = replyOf(written());
    expect({ errno, unique, bytes: body.length }).toEqual({
      errno: EINTR,
      unique: RESENT,
      bytes: 0,
    });
  });

  test("returns what write(2) fails with", () => {
    expect(replyError(-1, 1n, EINTR)).toBe(-EBADF);
  });
});

describe("replyData()", () => {
  test("writes the header into the bytes before the data", () => {
    const whole = new Uint8Array(100).fill(9);
    // A view that starts anywhere.
    const bytes = whole.subarray(10);
    bytes.set(Buffer.from("data"), 20);
    expect(replyData(ours, RESENT, { bytes, start: 20, end: 24 })).toBe(0);
    const { errno, unique, body } = replyOf(written());
    expect({ errno, unique, text: Buffer.from(body).toString() }).toEqual({
      errno: 0,
      unique: RESENT,
      text: "data",
    });
    expect([whole[13], whole[34]]).toEqual([9, 9]);
  });

  test.each([
    { start: 15, end: 20 },
    { start: 20, end: 19 },
    { start: 20, end: 91 },
    { start: Number.NaN, end: 30 },
  ])("refuses bytes $start to $end", ({ start, end }) => {
    const bytes = new Uint8Array(90);
    expect(() => replyData(ours, 1n, { bytes, start, end })).toThrow(RangeError);
  });
});

describe("notifications", () => {
  test("notifyResend() writes a header alone", () => {
    expect(notifyResend(ours)).toBe(0);
    const { errno, unique, body } = replyOf(written());
    expect({ code: -errno, unique, bytes: body.length }).toEqual({
      code: FUSE_NOTIFY_RESEND,
      unique: 0n,
      bytes: 0,
    });
  });

  test("notifyInvalEntry() writes directory and name", () => {
    expect(notifyInvalEntry(ours, 5 * 2 ** 32 + 1, Buffer.from("name"))).toBe(0);
    const { errno, body, view } = replyOf(written());
    expect(-errno).toBe(FUSE_NOTIFY_INVAL_ENTRY);
    expect(view.getBigUint64(0, true)).toBe(5n * 2n ** 32n + 1n);
    expect(view.getUint32(8, true)).toBe(4);
    expect(Buffer.from(body.subarray(16)).toString()).toBe("name\0");
  });

  test("notifyInvalInode() writes a node, all of it", () => {
    expect(notifyInvalInode(ours, 1)).toBe(0);
    const { errno, body } = replyOf(written());
    expect(-errno).toBe(FUSE_NOTIFY_INVAL_INODE);
    expect([...body]).toEqual([1, ...new Array(23).fill(0)]);
  });
});
