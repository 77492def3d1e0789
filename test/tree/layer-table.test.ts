import { expect, test } from "bun:test";
import { encodeLayerTable } from "../../src/tree/encode-layer-table.ts";
import type { Extent } from "../../src/tree/extent.ts";
import { type FileRun, LayerTable } from "../../src/tree/layer-table.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { encodeDevice, newNodeAttributes } from "../../src/tree/node-attributes.ts";
import { directory, file, hardlink, symlink, toc, type TocEntry } from "./toc-entries.ts";

function tableOf(entries: readonly TocEntry[], sparse?: ReadonlyMap<number, readonly Extent[]>) {
  const tree = buildLayerTree(toc(entries));
  return LayerTable.open(encodeLayerTable(tree, sparse === undefined ? {} : { sparse }));
}

function attributesOf(table: LayerTable, entry: number) {
  const attributes = newNodeAttributes();
  return table.attributes(entry, attributes) ? attributes : undefined;
}

const text = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString();

test("LayerTable has the attributes of a file", () => {
  const table = tableOf([
    file("f", {
      mode: 0o4751,
      uid: 2 ** 32 - 2,
      gid: 7,
      uncompressedSize: 2 ** 40 + 3,
      modTime: "2200-01-01T00:00:00.25Z",
    }),
  ]);
  expect(attributesOf(table, 0)).toEqual({
    mode: 0o104751,
    nlink: 1,
    uid: 2 ** 32 - 2,
    gid: 7,
    rdev: 0,
    size: 2 ** 40 + 3,
    mtimeSeconds: 7_258_118_400,
    mtimeNanoseconds: 250_000_000,
  });
  expect(table.dataOffset(0)).toBe(512);
});

test("LayerTable shows root as the owner where an entry says -1, which changes nothing", () => {
  const table = tableOf([file("f", { uid: 2 ** 32 - 1, gid: 2 ** 32 - 1 })]);
  expect(attributesOf(table, 0)).toMatchObject({ uid: 0, gid: 0 });
});

test("LayerTable counts the names that a file has in its layer, under its first entry alone", () => {
  const table = tableOf([
    file("a"),
    hardlink("b", "a"),
    hardlink("c", "b", { mode: 0o600 }),
    file("a"),
  ]);
  expect([0, 1, 2, 3].map((entry) => attributesOf(table, entry)?.nlink)).toEqual([
    2,
    undefined,
    undefined,
    1,
  ]);
  expect(attributesOf(table, 0)?.mode).toBe(0o100600);
});

test("LayerTable has nothing of directories, whiteouts, replaced files and entries there are none", () => {
  const table = tableOf([directory("d"), file(".wh.gone"), file("f"), file("f")]);
  expect(table.entryCount).toBe(4);
  expect([-1, 0, 1, 2, 4].map((entry) => attributesOf(table, entry))).toEqual(
    new Array(5).fill(undefined),
  );
  expect(table.modeOf(4)).toBe(0);
});

test("LayerTable has the targets of symlinks alone", () => {
  const table = tableOf([symlink("l", "../a/b"), file("f"), symlink("m", "/")]);
  expect([0, 1, 2, 3].map((entry) => text(table.target(entry)))).toEqual([
    "../a/b",
    undefined,
    "/",
    undefined,
  ]);
  expect(attributesOf(table, 0)?.size).toBe(6);
});

test("LayerTable has a file's xattrs, by name and listed", () => {
  const table = tableOf([
    file("f", { xattrs: { "SCHILY.xattr.user.b": "2", "SCHILY.xattr.user.a": "" } }),
    file("g"),
  ]);
  expect(text(table.xattrNames(0))).toBe("user.a\0user.b\0");
  expect(text(table.xattr(0, Buffer.from("user.b")))).toBe("2");
  expect(text(table.xattr(0, Buffer.from("user.a")))).toBe("");
  expect(table.xattr(0, Buffer.from("user."))).toBeUndefined();
  expect(table.xattr(1, Buffer.from("user.b"))).toBeUndefined();
  expect([table.xattrNames(1).length, table.hasXattrs, table.hasAcls]).toEqual([0, true, false]);
});

test("LayerTable knows whether a layer has ACLs", () => {
  const acl = { "SCHILY.xattr.system.posix_acl_access": "v" };
  expect(tableOf([file("f", { xattrs: acl })]).hasAcls).toBe(true);
  expect(tableOf([file("f")]).hasXattrs).toBe(false);
});

/** All runs of a file from a byte on, as text. */
function runsOf(table: LayerTable, start: number): string[] {
  const run: FileRun = { tarStart: 0, length: 0, isHole: false };
  const runs: string[] = [];
  for (let offset = start; offset < table.sizeOf(0); offset += run.length) {
    table.run(0, offset, run);
    runs.push(run.isHole ? `hole ${run.length}` : `data ${run.tarStart}+${run.length}`);
  }
  return runs;
}

test("run() gives a file that has all its bytes at once", () => {
  expect(runsOf(tableOf([file("f", { uncompressedSize: 100 })]), 30)).toEqual(["data 542+70"]);
});

test("run() gives data and holes of a sparse file from any byte on", () => {
  const extents = [
    { offset: 10, length: 20 },
    { offset: 30, length: 5 },
    { offset: 50, length: 10 },
  ];
  const table = tableOf([file("f", { uncompressedSize: 100 })], new Map([[0, extents]]));
  expect(runsOf(table, 0)).toEqual([
    "hole 10",
    "data 512+20",
    "data 532+5",
    "hole 15",
    "data 537+10",
    "hole 40",
  ]);
  expect(runsOf(table, 33)).toEqual(["data 535+2", "hole 15", "data 537+10", "hole 40"]);
  expect(runsOf(table, 60)).toEqual(["hole 40"]);
});

test("run() gives a file that is all hole", () => {
  const table = tableOf([file("f", { uncompressedSize: 100 })], new Map([[0, []]]));
  expect(runsOf(table, 1)).toEqual(["hole 99"]);
  expect(table.isSparse(0)).toBe(true);
});

test("LayerTable refuses extents outside the file", () => {
  const beyond = new Map([[0, [{ offset: 90, length: 11 }]]]);
  expect(() => tableOf([file("f", { uncompressedSize: 100 })], beyond)).toThrow(
    expect.objectContaining({ kind: "data-loss" }),
  );
});

test.each([
  { title: "small numbers", major: 8, minor: 1, rdev: 0x0801 },
  { title: "a large minor", major: 259, minor: 0x12345, rdev: 0x12310345 },
  { title: "the largest there are", major: 0xfff, minor: 0xfffff, rdev: 0xffffffff },
  { title: "numbers that mknod() cuts", major: 0x1008, minor: 0x100001, rdev: 0x0801 },
])("encodeDevice(): $title", ({ major, minor, rdev }) => {
  expect(encodeDevice(major, minor)).toBe(rdev);
});

test("LayerTable opens at any address", () => {
  const bytes = encodeLayerTable(buildLayerTree(toc([file("f")])));
  const moved = new Uint8Array(bytes.length + 3).subarray(3);
  moved.set(bytes);
  expect(attributesOf(LayerTable.open(moved), 0)).toBeDefined();
});

test.each([
  { title: "nothing", change: () => new Uint8Array(0) },
  { title: "another kind of table", change: (bytes: Uint8Array) => bytes.fill(0x78, 0, 8) },
  { title: "another version", change: (bytes: Uint8Array) => bytes.fill(9, 8, 12) },
  { title: "bytes that follow", change: (bytes: Uint8Array) => Buffer.concat([bytes, bytes]) },
])("LayerTable.open() refuses $title", ({ change }) => {
  const bytes = encodeLayerTable(buildLayerTree(toc([file("f")])));
  expect(() => LayerTable.open(change(bytes))).toThrow(
    expect.objectContaining({ kind: "data-loss" }),
  );
});
