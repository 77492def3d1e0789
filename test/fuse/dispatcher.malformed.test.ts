import { beforeEach, describe, expect, test } from "bun:test";
import * as abi from "../../src/fuse/abi.ts";
import { EINVAL, EIO, ENAMETOOLONG, ERANGE } from "../../src/sys/errno.ts";
import { FrameHarness, nameBytes, packed, readBody, requestFrame } from "../support/fuse-frame.ts";
import { MemoryFileSystem } from "../support/memory-file-system.ts";

let fs: MemoryFileSystem;
let harness: FrameHarness;

beforeEach(() => {
  fs = new MemoryFileSystem();
  harness = new FrameHarness(fs, { maxRead: 8192 });
});

describe("a malformed request", () => {
  test("shorter than its header has nobody to answer", () => {
    for (let length = 0; length < 40; length++) {
      expect(harness.send(new Uint8Array(length))).toBeUndefined();
    }
    expect(harness.records).toHaveLength(40);
  });

  test.each([39, 41, 0, 0xffff_ffff])(
    "that says it has %p bytes of 40 fails with EIO",
    (length) => {
      expect(harness.ask({ opcode: abi.FUSE_GETATTR, length }).errno).toBe(EIO);
    },
  );

  test.each([
    { title: "nothing", body: new Uint8Array(0) },
    { title: "an empty name", body: nameBytes("") },
    { title: "a name without its zero byte", body: Buffer.from("name") },
    { title: "two names", body: nameBytes("one\0two") },
  ])("FUSE_LOOKUP of $title fails with EINVAL", ({ body }) => {
    expect(harness.ask({ opcode: abi.FUSE_LOOKUP }, body).errno).toBe(EINVAL);
  });

  test("FUSE_LOOKUP of a name too long fails with ENAMETOOLONG", () => {
    const body = nameBytes("x".repeat(256));
    expect(harness.ask({ opcode: abi.FUSE_LOOKUP }, body).errno).toBe(ENAMETOOLONG);
  });

  test("FUSE_GETXATTR of a bad name fails", () => {
    const ask = (name: Uint8Array) =>
      harness.ask({ opcode: abi.FUSE_GETXATTR }, Buffer.concat([packed([4, 9], [4, 0]), name]))
        .errno;
    expect(ask(new Uint8Array(0))).toBe(EINVAL);
    expect(ask(Buffer.from("user.a"))).toBe(EINVAL);
    expect(ask(nameBytes("x".repeat(256)))).toBe(ERANGE);
    expect(harness.ask({ opcode: abi.FUSE_GETXATTR }, new Uint8Array(3)).errno).toBe(EINVAL);
  });

  test.each([
    abi.FUSE_READ,
    abi.FUSE_READDIR,
    abi.FUSE_READDIRPLUS,
    abi.FUSE_LSEEK,
    abi.FUSE_LISTXATTR,
  ])("opcode %p without its body fails with EINVAL", (opcode) => {
    for (const bytes of [0, 7]) {
      expect(harness.ask({ opcode }, new Uint8Array(bytes)).errno).toBe(EINVAL);
    }
  });

  test("FUSE_INTERRUPT without its body is passed over", () => {
    const frame = requestFrame({ opcode: abi.FUSE_INTERRUPT }, new Uint8Array(4));
    expect(harness.send(frame)).toBeUndefined();
  });

  test("FUSE_READ of more than was agreed, or past 2^53, fails with EINVAL", () => {
    const node = fs.file(1, "f", { content: Buffer.from("x") });
    const ask = (offset: number | bigint, size: number) =>
      harness.ask({ opcode: abi.FUSE_READ, node }, readBody(offset, size)).errno;
    expect(ask(0, 8193)).toBe(EINVAL);
    expect(ask(0, 0xffff_ffff)).toBe(EINVAL);
    expect(ask(2n ** 63n, 10)).toBe(EINVAL);
    expect(ask(2n ** 53n - 1n, 10)).toBe(0);
  });

  test("FUSE_READDIR of more than was agreed gets what was agreed", () => {
    for (let i = 0; i < 1000; i++) fs.file(1, `name-${i}`, { content: new Uint8Array(0) });
    const { body } = harness.ask({ opcode: abi.FUSE_READDIR }, readBody(0, 0xffff_ffff));
    expect(body.length).toBeGreaterThan(4096);
    expect(body.length).toBeLessThanOrEqual(8192);
  });
});

describe("a reply too large", () => {
  test.each([
    { title: "a target", opcode: abi.FUSE_READLINK },
    { title: "a list of names", opcode: abi.FUSE_LISTXATTR },
  ])("for $title fails with EIO", ({ opcode }) => {
    fs.readlink = () => new Uint8Array(8193);
    fs.listxattr = () => new Uint8Array(8193);
    const body = packed([4, 0xffff_ffff], [4, 0]);
    expect(harness.ask({ opcode }, body).errno).toBe(EIO);
  });
});
