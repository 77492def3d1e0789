import { beforeEach, describe, expect, test } from "bun:test";
import * as abi from "../../src/fuse/abi.ts";
import {
  fuse_attr,
  fuse_attr_out,
  fuse_entry_out,
  fuse_statfs_out,
} from "../../src/fuse/abi-structs.ts";
import { SociError } from "../../src/errors.ts";
import {
  EACCES,
  EAGAIN,
  EIO,
  EISDIR,
  ENODATA,
  ENOENT,
  ENOSYS,
  ENXIO,
  ERANGE,
} from "../../src/sys/errno.ts";
import { encodeDevice } from "../../src/tree/node-attributes.ts";
import { FrameHarness, nameBytes, packed, readBody, requestFrame } from "../support/fuse-frame.ts";
import { MemoryFileSystem } from "../support/memory-file-system.ts";

const FOREVER = 0x7fff_ffffn;
const SEEK_DATA = 3;

let fs: MemoryFileSystem;
let harness: FrameHarness;

beforeEach(() => {
  fs = new MemoryFileSystem();
  harness = new FrameHarness(fs);
});

function attrAt(view: DataView, start: number) {
  const { at } = fuse_attr;
  return {
    ino: view.getBigUint64(start + at.ino, true),
    size: view.getBigUint64(start + at.size, true),
    blocks: view.getBigUint64(start + at.blocks, true),
    atime: view.getBigInt64(start + at.atime, true),
    mtime: view.getBigInt64(start + at.mtime, true),
    ctime: view.getBigInt64(start + at.ctime, true),
    atimensec: view.getUint32(start + at.atimensec, true),
    mtimensec: view.getUint32(start + at.mtimensec, true),
    ctimensec: view.getUint32(start + at.ctimensec, true),
    mode: view.getUint32(start + at.mode, true),
    nlink: view.getUint32(start + at.nlink, true),
    uid: view.getUint32(start + at.uid, true),
    gid: view.getUint32(start + at.gid, true),
    rdev: view.getUint32(start + at.rdev, true),
    blksize: view.getUint32(start + at.blksize, true),
    flags: view.getUint32(start + at.flags, true),
  };
}

const OWNED = {
  content: Buffer.from("x"),
  size: 2 ** 40 + 1,
  mode: 0o4755,
  uid: 4_000_000_000,
  gid: 1000,
  mtime: -5,
  mtimeNsec: 999_999_999,
  nlink: 3,
  rdev: encodeDevice(259, 70_000),
};
const OWNED_ATTR = {
  size: 2n ** 40n + 1n,
  blocks: 2n ** 31n + 1n,
  atime: -5n,
  mtime: -5n,
  ctime: -5n,
  atimensec: 999_999_999,
  mtimensec: 999_999_999,
  ctimensec: 999_999_999,
  mode: 0o104755,
  nlink: 3,
  uid: 4_000_000_000,
  gid: 1000,
  // linux/kdev_t.h: 12 bits of major, 20 of minor.
  rdev: (70_000 & 0xff) | (259 << 8) | ((70_000 & ~0xff) << 12),
  blksize: 4096,
  flags: 0,
};

describe("FUSE_LOOKUP", () => {
  test("answers with the node, for ever", () => {
    const node = fs.file(1, "owned", OWNED);
    const { errno, unique, body, view } = harness.ask(
      { opcode: abi.FUSE_LOOKUP },
      nameBytes("owned"),
    );
    const { at } = fuse_entry_out;
    expect({ errno, unique, bytes: body.length }).toEqual({ errno: 0, unique: 7n, bytes: 128 });
    expect(view.getBigUint64(at.nodeid, true)).toBe(BigInt(node));
    expect(view.getBigUint64(at.generation, true)).toBe(0n);
    expect(view.getBigUint64(at.entry_valid, true)).toBe(FOREVER);
    expect(view.getBigUint64(at.attr_valid, true)).toBe(FOREVER);
    expect(view.getUint32(at.entry_valid_nsec, true)).toBe(0);
    expect(view.getUint32(at.attr_valid_nsec, true)).toBe(0);
    expect(attrAt(view, at.attr)).toEqual({ ino: BigInt(node), ...OWNED_ATTR });
  });

  test("says of an absent name that it stays absent", () => {
    const { errno, view } = harness.ask({ opcode: abi.FUSE_LOOKUP }, nameBytes("none"));
    expect(errno).toBe(0);
    expect(view.getBigUint64(fuse_entry_out.at.nodeid, true)).toBe(0n);
    expect(view.getBigUint64(fuse_entry_out.at.entry_valid, true)).toBe(FOREVER);
  });

  test("promises nothing about absent names of a directory that changes", () => {
    fs.unstable.add(1);
    expect(harness.ask({ opcode: abi.FUSE_LOOKUP }, nameBytes("none")).errno).toBe(ENOENT);
  });

  test("finds a node by itself, and its directory, for those who hold a handle of it", () => {
    const outer = fs.directory(1, "outer");
    const inner = fs.directory(outer, "inner");
    const nodeOf = (name: string): bigint =>
      harness
        .ask({ opcode: abi.FUSE_LOOKUP, node: inner }, nameBytes(name))
        .view.getBigUint64(fuse_entry_out.at.nodeid, true);
    expect(nodeOf(".")).toBe(BigInt(inner));
    expect(nodeOf("..")).toBe(BigInt(outer));
  });

  test("fails with what the file system says", () => {
    fs.lookup = () => -EACCES;
    expect(harness.ask({ opcode: abi.FUSE_LOOKUP }, nameBytes("a")).errno).toBe(EACCES);
  });
});

describe("FUSE_GETATTR", () => {
  test("answers with the attributes, for ever", () => {
    const node = fs.file(1, "owned", OWNED);
    const { errno, body, view } = harness.ask(
      { opcode: abi.FUSE_GETATTR, node },
      new Uint8Array(16),
    );
    const { at } = fuse_attr_out;
    expect({ errno, bytes: body.length }).toEqual({ errno: 0, bytes: 104 });
    expect(view.getBigUint64(at.attr_valid, true)).toBe(FOREVER);
    expect(view.getUint32(at.attr_valid_nsec, true)).toBe(0);
    expect(view.getUint32(at.dummy, true)).toBe(0);
    expect(attrAt(view, at.attr)).toEqual({ ino: BigInt(node), ...OWNED_ATTR });
  });

  test("takes node ids of more than 32 bits", () => {
    let asked = 0;
    fs.getattr = (node) => {
      asked = node;
      return 0;
    };
    harness.ask({ opcode: abi.FUSE_GETATTR, node: 5 * 2 ** 32 + 3_000_000_000 });
    expect(asked).toBe(5 * 2 ** 32 + 3_000_000_000);
  });
});

describe("FUSE_READ", () => {
  const content = Buffer.from("0123456789");

  test("answers with the bytes asked for", () => {
    const node = fs.file(1, "f", { content });
    const { errno, body } = harness.ask({ opcode: abi.FUSE_READ, node }, readBody(3, 4));
    expect({ errno, text: Buffer.from(body).toString() }).toEqual({ errno: 0, text: "3456" });
  });

  test("answers with fewer at the end, and none behind it", () => {
    const node = fs.file(1, "f", { content });
    const bodyAt = (offset: number): string =>
      Buffer.from(
        harness.ask({ opcode: abi.FUSE_READ, node }, readBody(offset, 4096)).body,
      ).toString();
    expect([bodyAt(8), bodyAt(10), bodyAt(2 ** 45)]).toEqual(["89", "", ""]);
  });

  test("takes the data from wherever the file system put it", () => {
    fs.read = (_, target) => {
      target.start = 16;
      target.end = 19;
      target.bytes.set(Buffer.from("abc"), 16);
      return 3;
    };
    const { errno, body } = harness.ask({ opcode: abi.FUSE_READ }, readBody(0, 4096));
    expect({ errno, text: Buffer.from(body).toString() }).toEqual({ errno: 0, text: "abc" });
  });

  test.each([
    { title: "no room for the header", start: 15, end: 18, count: 3 },
    { title: "another size than it says", start: 16, end: 20, count: 3 },
    { title: "more than was asked for", start: 16, end: 5016, count: 5000 },
    { title: "bytes that are not there", start: 2 ** 30, end: 2 ** 30 + 1, count: 1 },
  ])("answers EIO to a range with $title", ({ start, end, count }) => {
    fs.read = (_, target) => {
      target.start = start;
      target.end = end;
      return count;
    };
    expect(harness.ask({ opcode: abi.FUSE_READ }, readBody(0, 4096)).errno).toBe(EIO);
    expect(harness.records).toHaveLength(1);
  });

  test("leaves a read that is pending to somebody else, who learns all that a reply needs", () => {
    const node = fs.file(1, "f", { content, isPending: true });
    const unique = 0x8000_0000_0000_0004n;
    const frame = requestFrame({ opcode: abi.FUSE_READ, node, unique }, readBody(0, 4096));
    expect(harness.send(frame)).toBeUndefined();
    expect(fs.pending).toEqual([{ fd: 99, unique }]);
  });

  test("tells the file system who reads", () => {
    let pid = 0;
    fs.read = (request, target) => {
      pid = request.pid;
      target.end = target.start;
      return 0;
    };
    harness.ask({ opcode: abi.FUSE_READ, pid: 4711 }, readBody(0, 4096));
    expect(pid).toBe(4711);
  });

  test("fails with what the file system says", () => {
    expect(harness.ask({ opcode: abi.FUSE_READ, node: 1 }, readBody(0, 10)).errno).toBe(EISDIR);
  });
});

describe("FUSE_READLINK", () => {
  test("answers with the target as it is", () => {
    const node = fs.symlink(1, "link", "../a b/\xff");
    const { body } = harness.ask({ opcode: abi.FUSE_READLINK, node });
    expect(Buffer.from(body).toString("latin1")).toBe("../a b/\xff");
  });
});

describe("extended attributes", () => {
  const ROOM = 100;
  let node: number;

  beforeEach(() => {
    const xattrs = { "user.a": "value", "user.b": "" };
    node = fs.file(1, "f", { content: new Uint8Array(0), xattrs });
  });

  function getxattr(name: string, room: number) {
    const body = Buffer.concat([packed([4, room], [4, 0]), nameBytes(name)]);
    return harness.ask({ opcode: abi.FUSE_GETXATTR, node }, body);
  }

  function listxattr(room: number) {
    return harness.ask({ opcode: abi.FUSE_LISTXATTR, node }, packed([4, room], [4, 0]));
  }

  test("FUSE_GETXATTR answers with the value, or its size where there is no room", () => {
    expect(Buffer.from(getxattr("user.a", ROOM).body).toString()).toBe("value");
    expect(getxattr("user.b", ROOM).body).toHaveLength(0);
    expect([...getxattr("user.a", 0).body]).toEqual([5, 0, 0, 0, 0, 0, 0, 0]);
    expect(getxattr("user.a", 4).errno).toBe(ERANGE);
    expect(getxattr("user.c", ROOM).errno).toBe(ENODATA);
  });

  test("FUSE_LISTXATTR answers with the names, or their size where there is no room", () => {
    expect(Buffer.from(listxattr(ROOM).body).toString()).toBe("user.a\0user.b\0");
    expect([...listxattr(0).body]).toEqual([14, 0, 0, 0, 0, 0, 0, 0]);
    expect(listxattr(13).errno).toBe(ERANGE);
  });

  test("are not asked for again where no node has any", () => {
    fs.hasXattrs = false;
    expect(getxattr("user.a", ROOM).errno).toBe(ENOSYS);
    expect(listxattr(ROOM).errno).toBe(ENOSYS);
  });
});

describe("FUSE_STATFS", () => {
  test("answers with the file system's numbers", () => {
    fs.statfs = (out) => {
      Object.assign(out, { blocks: 2 ** 40, bfree: 1, bavail: 2, files: 3, ffree: 4 });
      return 0;
    };
    const { body, view } = harness.ask({ opcode: abi.FUSE_STATFS });
    const { at } = fuse_statfs_out;
    expect(body).toHaveLength(80);
    const names = ["blocks", "bfree", "bavail", "files", "ffree"] as const;
    const numbers = names.map((name) => Number(view.getBigUint64(at[name], true)));
    expect(numbers).toEqual([2 ** 40, 1, 2, 3, 4]);
    expect(view.getUint32(at.bsize, true)).toBe(4096);
    expect(view.getUint32(at.namelen, true)).toBe(255);
    expect(view.getUint32(at.frsize, true)).toBe(4096);
    expect([...body.subarray(at.padding)]).toEqual(new Array(28).fill(0));
  });
});

describe("FUSE_LSEEK", () => {
  test("answers with the place found", () => {
    const node = fs.file(1, "f", { content: Buffer.from("x"), size: 2 ** 41 });
    const seek = (offset: number) =>
      harness.ask(
        { opcode: abi.FUSE_LSEEK, node },
        packed([8, 0], [8, offset], [4, SEEK_DATA], [4, 0]),
      );
    expect(seek(2 ** 40).view.getBigUint64(0, true)).toBe(2n ** 40n);
    expect(seek(2 ** 42).errno).toBe(ENXIO);
  });
});

describe("FUSE_INTERRUPT", () => {
  const interrupt = (unique: bigint) =>
    harness.send(requestFrame({ opcode: abi.FUSE_INTERRUPT, unique: 9n }, packed([8, unique])));

  test("is left to who holds the read", () => {
    const node = fs.file(1, "f", { content: Buffer.from("x"), isPending: true });
    harness.send(requestFrame({ opcode: abi.FUSE_READ, node, unique: 8n }, readBody(0, 1)));
    expect(interrupt(8n)).toBeUndefined();
    expect(fs.interrupted).toEqual([8n]);
  });

  test("is asked again when nobody knows the request yet", () => {
    expect(interrupt(6n)).toMatchObject({ errno: EAGAIN, unique: 9n });
  });
});

describe("failures", () => {
  const throwing = (error: unknown) => {
    fs.getattr = () => {
      throw error;
    };
    return harness.ask({ opcode: abi.FUSE_GETATTR }).errno;
  };

  test("that nobody knows are EIO, and logged", () => {
    expect(throwing(new TypeError("bug"))).toBe(EIO);
    expect(throwing("text")).toBe(EIO);
    expect(harness.records.map(({ level }) => level)).toEqual(["error", "error"]);
  });

  test("are told apart by their kind", () => {
    expect(throwing(new SociError("permission-denied", "no"))).toBe(EACCES);
    expect(throwing(new SociError("data-loss", "no"))).toBe(EIO);
  });

  test("are never ENOSYS, or the kernel would not ask again", () => {
    fs.getattr = () => -ENOSYS;
    expect(harness.ask({ opcode: abi.FUSE_GETATTR }).errno).toBe(EIO);
  });

  test("do not keep the next request from its answer", () => {
    throwing(new Error("once"));
    fs.getattr = () => 0;
    expect(harness.ask({ opcode: abi.FUSE_GETATTR }).errno).toBe(0);
  });
});
