import { describe, expect, test } from "bun:test";
import {
  type DirectoryChild,
  type FuseAttr,
  PENDING,
  type ReadRequest,
  type ReadTarget,
} from "../../src/fuse/filesystem.ts";
import { LazyFileSystem, type MissedRead } from "../../src/lazyfs/lazy-file-system.ts";
import { nodeIdOf, ROOT_ID } from "../../src/lazyfs/node-id.ts";
import type { TarReader } from "../../src/lazyfs/read-file.ts";
import { EINVAL, EISDIR, ENODATA, ENOTDIR, ENXIO, ESTALE } from "../../src/sys/errno.ts";
import { ChainTable } from "../../src/tree/chain-table.ts";
import { encodeChainTable } from "../../src/tree/encode-chain-table.ts";
import { encodeLayerTable } from "../../src/tree/encode-layer-table.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { LayerTable } from "../../src/tree/layer-table.ts";
import { directory, file, hardlink, symlink, toc } from "../tree/toc-entries.ts";

const LOWER = 1;
const UPPER = 2;
const CHAIN = 3;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const NOT_HERE = -7;

const lower = [
  directory("etc", { mode: 0o755, xattrs: { "SCHILY.xattr.user.of": "lower" } }),
  file("etc/passwd", { uncompressedOffset: 1000, uncompressedSize: 300, uid: 7, mode: 0o4750 }),
  file("etc/gone", { uncompressedSize: 5 }),
  symlink("link", "etc/passwd"),
  hardlink("other", "etc/passwd", { uid: 7, mode: 0o4750 }),
  file("sparse", { uncompressedOffset: 5000, uncompressedSize: 10_000 }),
];
const upper = [
  file("etc/.wh.gone"),
  file("etc/hosts", {
    uncompressedOffset: 64,
    uncompressedSize: 2_000_000,
    xattrs: { "SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.b": "two" },
  }),
];
const SPARSE_ENTRY = 5;
const EXTENTS = [
  { offset: 100, length: 50 },
  { offset: 4000, length: 1000 },
];

/** A layer's tar in which each byte tells its offset, from `from` on; nothing before it is here. */
function tar(from: number): TarReader {
  return {
    read(start, end, bytes, at) {
      if (start < from) return NOT_HERE;
      for (let i = start; i < end; i++) bytes[at + i - start] = i & 0xff;
      // As a reader of whole blocks may.
      bytes.fill(0xee, Math.max(0, at - 100), at);
      bytes.fill(0xee, at + end - start, at + end - start + 100);
      return end - start;
    },
  };
}

interface Opened {
  readonly fs: LazyFileSystem;
  readonly misses: (MissedRead & { readonly result: number })[];
  readonly interrupts: bigint[];
}

function open(cachedFrom = 0): Opened {
  const trees = [lower, upper].map((entries) => buildLayerTree(toc(entries)));
  const sparse = new Map([[SPARSE_ENTRY, EXTENTS]]);
  const tables = trees.map((tree, index) =>
    LayerTable.open(encodeLayerTable(tree, index === 0 ? { sparse } : {})),
  );
  const chain = ChainTable.open(
    encodeChainTable(trees.map((tree, index) => ({ digest: `layer-${index}`, tree }))),
  );
  const misses: Opened["misses"] = [];
  const interrupts: bigint[] = [];
  const fs = new LazyFileSystem({
    chains: new Map([[CHAIN, { table: chain, layers: [LOWER, UPPER] }]]),
    layers: new Map(
      tables.map((table, index) => [index + 1, { table, reader: tar(cachedFrom) }] as const),
    ),
    rootChain: CHAIN,
    onMiss: (_request, missed, result) => misses.push({ ...missed, result }),
    onInterrupt: (unique) => interrupts.push(unique),
  });
  return { fs, misses, interrupts };
}

const attr = (): FuseAttr => ({
  ino: 0,
  size: 0,
  blocks: 0,
  blksize: 0,
  mtime: 0,
  mtimeNsec: 0,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  rdev: 0,
  isChanging: false,
});

function find(fs: LazyFileSystem, path: string, into: FuseAttr = attr()): number {
  let node = ROOT_ID;
  for (const part of path.split("/")) node = fs.lookup(node, Buffer.from(part), into);
  return node;
}

const request = (node: number, offset: number, size: number): ReadRequest => ({
  node,
  offset,
  size,
  unique: 9n,
  fd: 1,
  pid: 1,
});

function target(): ReadTarget {
  return { bytes: new Uint8Array(200_000), slack: 1000, start: 0, end: 0 };
}

function names(fs: LazyFileSystem, node: number): string[] {
  const child: DirectoryChild = { name: new Uint8Array(0), node: 0, mode: 0 };
  return Array.from({ length: fs.childCount(node) }, (_, index) => {
    fs.childAt(node, index, child);
    return `${Buffer.from(child.name)} ${(child.mode >>> 12).toString(8)} ${child.node}`;
  });
}

describe("LazyFileSystem", () => {
  test("lists the merged root and its directories, with the ids that lookup() gives", () => {
    const { fs } = open();
    expect(names(fs, ROOT_ID)).toEqual([
      `etc 4 ${find(fs, "etc")}`,
      `link 12 ${find(fs, "link")}`,
      `other 10 ${find(fs, "other")}`,
      `sparse 10 ${find(fs, "sparse")}`,
    ]);
    expect(names(fs, find(fs, "etc"))).toEqual([
      `hosts 10 ${find(fs, "etc/hosts")}`,
      `passwd 10 ${find(fs, "etc/passwd")}`,
    ]);
  });

  test("gives a file one id by its layer and entry, whatever its name", () => {
    const { fs } = open();
    expect(find(fs, "etc/passwd")).toBe(nodeIdOf(LOWER, 1));
    expect(find(fs, "other")).toBe(nodeIdOf(LOWER, 1));
    expect(find(fs, "etc/hosts")).toBe(nodeIdOf(UPPER, 1));
  });

  test("tells attributes, and the root's by its fixed id", () => {
    const { fs } = open();
    const found = attr();
    find(fs, "etc/passwd", found);
    expect(found).toMatchObject({ mode: 0o104750, uid: 7, size: 300, nlink: 2, blocks: 8 });
    expect(found.ino).toBe(nodeIdOf(LOWER, 1));
    expect(fs.getattr(ROOT_ID, found)).toBe(0);
    expect(found).toMatchObject({ mode: 0o40755, nlink: 3, ino: nodeIdOf(CHAIN, 0) });
  });

  test("has no name that is hidden or absent, and no names in a file", () => {
    const { fs } = open();
    expect(find(fs, "etc/gone")).toBe(0);
    expect(fs.lookup(nodeIdOf(LOWER, 1), Buffer.from("x"), attr())).toBe(-ENOTDIR);
    expect(fs.childCount(nodeIdOf(LOWER, 1))).toBe(-ENOTDIR);
  });

  test.each([nodeIdOf(99, 0), nodeIdOf(CHAIN, 1000), nodeIdOf(LOWER, 1000), nodeIdOf(UPPER, 0), 0])(
    "answers ESTALE for node %p, which nothing is",
    (node) => {
      expect(open().fs.getattr(node, attr())).toBe(-ESTALE);
    },
  );

  test("knows the directory of a directory", () => {
    const { fs } = open();
    expect(fs.parentOf(find(fs, "etc"))).toBe(ROOT_ID);
    expect(fs.parentOf(ROOT_ID)).toBe(ROOT_ID);
  });

  test("reads symlinks, and nothing else as one", () => {
    const { fs } = open();
    expect(Buffer.from(fs.readlink(find(fs, "link")) as Uint8Array).toString()).toBe("etc/passwd");
    expect(fs.readlink(find(fs, "other"))).toBe(-EINVAL);
    expect(fs.readlink(ROOT_ID)).toBe(-EINVAL);
  });

  test("reads xattrs of files and directories", () => {
    const { fs } = open();
    const hosts = find(fs, "etc/hosts");
    expect(fs.getxattr(hosts, Buffer.from("user.b"))).toEqual(new Uint8Array(Buffer.from("two")));
    expect(fs.getxattr(hosts, Buffer.from("user.c"))).toBe(-ENODATA);
    expect(Buffer.from(fs.listxattr(hosts) as Uint8Array).toString()).toBe("user.a\0user.b\0");
    const etc = find(fs, "etc");
    expect(fs.getxattr(etc, Buffer.from("user.of"))).toEqual(new Uint8Array(Buffer.from("lower")));
    expect(fs.hasXattrs).toBe(true);
    expect(fs.hasAcls).toBe(false);
  });

  test("reads a file from where its layer's tar has it, up to its end", () => {
    const { fs, misses } = open();
    const into = target();
    expect(fs.read(request(find(fs, "etc/passwd"), 290, 4096), into)).toBe(10);
    expect(Array.from(into.bytes.subarray(into.start, into.end))).toEqual(
      Array.from({ length: 10 }, (_, i) => (1290 + i) & 0xff),
    );
    expect(fs.read(request(find(fs, "etc/passwd"), 300, 4096), into)).toBe(0);
    expect(misses).toEqual([]);
  });

  test("reads a sparse file: data, and zeros for its holes", () => {
    const { fs } = open();
    const into = target();
    expect(fs.read(request(find(fs, "sparse"), 0, 100_000), into)).toBe(10_000);
    const want = new Uint8Array(10_000);
    for (let i = 0; i < 50; i++) want[100 + i] = (5000 + i) & 0xff;
    for (let i = 0; i < 1000; i++) want[4000 + i] = (5050 + i) & 0xff;
    expect(Buffer.compare(into.bytes.subarray(into.start, into.end), want)).toBe(0);
  });

  test("finds data and holes of a sparse file, and none in others", () => {
    const { fs } = open();
    const sparse = find(fs, "sparse");
    const seek = (offset: number, whence: number) => fs.lseek(sparse, offset, whence);
    expect([0, 100, 149, 150, 4999].map((offset) => seek(offset, SEEK_DATA))).toEqual([
      100, 100, 149, 4000, 4999,
    ]);
    expect([0, 100, 150, 4000].map((offset) => seek(offset, SEEK_HOLE))).toEqual([
      0, 150, 150, 5000,
    ]);
    expect(seek(5000, SEEK_DATA)).toBe(-ENXIO);
    expect(seek(10_000, SEEK_HOLE)).toBe(-ENXIO);
    const passwd = find(fs, "etc/passwd");
    expect(fs.lseek(passwd, 5, SEEK_DATA)).toBe(5);
    expect(fs.lseek(passwd, 5, SEEK_HOLE)).toBe(300);
  });

  test("hands a read on that the cache does not have", () => {
    const { fs, misses } = open(6000);
    const read = request(find(fs, "etc/passwd"), 10, 100);
    expect(fs.read(read, target())).toBe(PENDING);
    expect(misses).toEqual([{ layer: LOWER, entry: 1, offset: 10, size: 100, result: NOT_HERE }]);
  });

  test("reads no directory, symlink or node that is not there", () => {
    const { fs, misses } = open();
    expect(fs.read(request(ROOT_ID, 0, 10), target())).toBe(-EISDIR);
    expect(fs.read(request(find(fs, "link"), 0, 10), target())).toBe(-EINVAL);
    expect(fs.read(request(nodeIdOf(50, 3), 0, 10), target())).toBe(-ESTALE);
    expect(fs.read(request(nodeIdOf(LOWER, 1000), 0, 10), target())).toBe(-ESTALE);
    expect(fs.readlink(nodeIdOf(LOWER, 1000))).toBe(-ESTALE);
    expect(misses).toEqual([]);
  });

  test("hands interrupts on", () => {
    const { fs, interrupts } = open();
    expect(fs.interrupt(12n)).toBe(true);
    expect(interrupts).toEqual([12n]);
  });
});
