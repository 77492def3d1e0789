import { beforeEach, describe, expect, test } from "bun:test";
import { FUSE_READDIR, FUSE_READDIRPLUS } from "../../src/fuse/abi.ts";
import { fuse_dirent, fuse_direntplus, fuse_entry_out } from "../../src/fuse/abi-structs.ts";
import { EIO, ENOENT, ENOTDIR } from "../../src/sys/errno.ts";
import { FrameHarness, readBody } from "../support/fuse-frame.ts";
import { MemoryFileSystem } from "../support/memory-file-system.ts";

const DT_DIR = 4;
const DT_REG = 8;
const DT_LNK = 10;

interface Entry {
  readonly name: string;
  readonly ino: bigint;
  readonly cookie: bigint;
  readonly type: number;
  /** Of READDIRPLUS: the node whose attributes came along, 0 for none. */
  readonly node: bigint | undefined;
}

let fs: MemoryFileSystem;
let harness: FrameHarness;

beforeEach(() => {
  fs = new MemoryFileSystem();
  harness = new FrameHarness(fs);
});

function entriesOf(body: Uint8Array, plus: boolean): Entry[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const entries: Entry[] = [];
  for (let start = 0; start < body.length;) {
    const dirent = start + (plus ? fuse_direntplus.at.dirent : 0);
    const length = view.getUint32(dirent + fuse_dirent.at.namelen, true);
    const nameStart = dirent + fuse_dirent.bytes;
    const end = (nameStart + length + 7) & ~7;
    if (end > body.length) throw new Error(`record ends at ${end} of ${body.length}`);
    if (body.subarray(nameStart + length, end).some((byte) => byte !== 0)) {
      throw new Error("padding is not zero");
    }
    entries.push({
      name: Buffer.from(body.subarray(nameStart, nameStart + length)).toString("latin1"),
      ino: view.getBigUint64(dirent + fuse_dirent.at.ino, true),
      cookie: view.getBigUint64(dirent + fuse_dirent.at.off, true),
      type: view.getUint32(dirent + fuse_dirent.at.type, true),
      node: plus ? view.getBigUint64(start + fuse_entry_out.at.nodeid, true) : undefined,
    });
    start = end;
  }
  return entries;
}

/** The whole of a directory as the kernel would read it, by parts of `size` bytes. */
function listing(node: number, { plus = false, size = 4096 } = {}): Entry[] {
  const opcode = plus ? FUSE_READDIRPLUS : FUSE_READDIR;
  const entries: Entry[] = [];
  for (;;) {
    const offset = entries.at(-1)?.cookie ?? 0;
    const { errno, body } = harness.ask({ opcode, node }, readBody(offset, size));
    if (errno !== 0) throw new Error(`errno ${errno}`);
    if (body.length > size) throw new Error(`${body.length} bytes, want ${size} at most`);
    if (body.length === 0) return entries;
    entries.push(...entriesOf(body, plus));
  }
}

describe("FUSE_READDIR", () => {
  test("lists a directory with its own names first", () => {
    const directory = fs.directory(1, "d");
    const file = fs.file(directory, "file \xff", { content: new Uint8Array(0) });
    const link = fs.symlink(directory, "link", "x");
    const inner = fs.directory(directory, "inner");
    const expected = [
      [".", directory, DT_DIR],
      ["..", 1, DT_DIR],
      ["file \xff", file, DT_REG],
      ["link", link, DT_LNK],
      ["inner", inner, DT_DIR],
    ] as const;
    expect(listing(directory)).toEqual(
      expected.map(([name, node, type], i) => ({
        name,
        ino: BigInt(node),
        cookie: BigInt(i + 1),
        type,
        node: undefined,
      })),
    );
  });

  test("fails with ENOTDIR, or with what else the file system says", () => {
    const file = fs.file(1, "f", { content: new Uint8Array(0) });
    const ask = (node: number) =>
      harness.ask({ opcode: FUSE_READDIR, node }, readBody(0, 4096)).errno;
    expect([ask(file), ask(9999)]).toEqual([ENOTDIR, ENOENT]);
  });

  test("lists nothing behind the end", () => {
    const { errno, body } = harness.ask({ opcode: FUSE_READDIR }, readBody(2 ** 50, 4096));
    expect({ errno, bytes: body.length }).toEqual({ errno: 0, bytes: 0 });
  });

  test("leaves out names that Linux cannot have", () => {
    fs.file(1, "x".repeat(256), { content: new Uint8Array(0) });
    fs.file(1, "", { content: new Uint8Array(0) });
    fs.file(1, "y".repeat(255), { content: new Uint8Array(0) });
    expect(listing(1).map(({ name }) => name)).toEqual([".", "..", "y".repeat(255)]);
  });
});

describe("FUSE_READDIRPLUS", () => {
  test("brings each child's node along, but for the directory's own names", () => {
    const file = fs.file(1, "file", { content: Buffer.from("12345") });
    expect(listing(1, { plus: true }).map(({ name, node }) => [name, node])).toEqual([
      [".", 0n],
      ["..", 0n],
      ["file", BigInt(file)],
    ]);
  });

  test("names a child whose attributes cannot be had", () => {
    fs.file(1, "file", { content: new Uint8Array(0) });
    fs.getattr = () => -EIO;
    expect(listing(1, { plus: true }).at(-1)).toMatchObject({ name: "file", node: 0n });
  });
});

describe("a large directory", () => {
  test.each([
    { title: "READDIR, 4 KiB", plus: false, size: 4096 },
    { title: "READDIRPLUS, 4 KiB", plus: true, size: 4096 },
    { title: "READDIRPLUS, 1 MiB", plus: true, size: 1 << 20 },
    { title: "READDIR, an odd size", plus: false, size: 777 },
  ])("comes whole and in order by parts: $title", ({ plus, size }) => {
    const names = Array.from({ length: 3000 }, (_, i) => `name-${"x".repeat(i % 40)}-${i}`);
    for (const name of names) fs.file(1, name, { content: new Uint8Array(0) });
    const seen = listing(1, { plus, size }).map(({ name }) => name);
    expect(seen).toEqual([".", "..", ...names]);
  });
});
