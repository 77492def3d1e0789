import { expect, test } from "bun:test";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { bytesOfName } from "../../src/tree/byte-name.ts";
import {
  directory,
  file,
  hardlink,
  layer,
  listing,
  merged,
  nodeAt,
  symlink,
  toc,
  type TocEntry,
} from "./toc-entries.ts";

test.each([
  {
    title: "cleans names",
    entries: [file("./a//b"), file("/c"), file("d/../e")],
    want: ["d a", "- a/b@0", "- c@0", "- e@0"],
  },
  {
    title: "keeps names inside the root",
    entries: [file("../../etc/passwd"), file("a/../../../b")],
    want: ["- b@0", "d etc", "- etc/passwd@0"],
  },
  {
    title: "follows a symlink of the layer on the way to an entry",
    entries: [directory("usr/lib"), symlink("lib", "usr/lib"), file("lib/x")],
    want: ["l lib -> usr/lib", "d usr", "d usr/lib", "- usr/lib/x@0"],
  },
  {
    title: "follows an absolute symlink inside the root",
    entries: [symlink("out", "/etc"), file("out/x")],
    want: ["d etc", "- etc/x@0", "l out -> /etc"],
  },
  {
    title: "keeps a symlink that climbs inside the root",
    entries: [symlink("a/out", "../../../../etc"), file("a/out/x")],
    want: ["d a", "l a/out -> ../../../../etc", "d etc", "- etc/x@0"],
  },
  {
    title: "follows symlinks to symlinks",
    entries: [symlink("a", "b"), symlink("b", "c"), file("a/x")],
    want: ["l a -> b", "l b -> c", "d c", "- c/x@0"],
  },
  {
    title: "does not follow a symlink that an entry replaces",
    entries: [symlink("a", "b"), directory("a"), file("a/x")],
    want: ["d a", "- a/x@0"],
  },
  {
    title: "lets a file replace a directory and all in it",
    entries: [file("a/b/c"), file("a")],
    want: ["- a@0"],
  },
  {
    title: "lets a directory replace a file",
    entries: [file("a"), directory("a"), file("a/b")],
    want: ["d a", "- a/b@0"],
  },
  {
    title: "keeps the children of a directory that comes again",
    entries: [file("a/b"), directory("a")],
    want: ["d a", "- a/b@0"],
  },
  {
    title: "ignores the marks of aufs",
    entries: [file(".wh..wh.plnk"), file(".wh..wh.aufs"), file("a")],
    want: ["- a@0"],
  },
  {
    title: "keeps its own file whether its whiteout comes before it or after",
    entries: [file(".wh.a"), file("a"), file("b"), file(".wh.b")],
    want: ["- a@0", "- b@0"],
  },
  {
    title: "takes a character device 0:0 for a whiteout",
    entries: [file("a"), { name: "a", type: "char" }],
    want: [],
  },
  {
    title: "takes a character device that mknod(2) makes 0:0 of for a whiteout",
    entries: [file("a"), { name: "a", type: "char", devmajor: 0x1000n, devminor: 1n << 20n }],
    want: [],
  },
  {
    title: "ignores an entry that cleans to the root",
    entries: [file("."), symlink("..", "x"), file("a")],
    want: ["- a@0"],
  },
  {
    title: "makes special files",
    entries: [
      { name: "f", type: "fifo" },
      { name: "c", type: "char", devmajor: 1n, devminor: 3n },
      { name: "b", type: "block", devmajor: 8n },
    ],
    want: ["block b", "char c", "fifo f"],
  },
] satisfies { title: string; entries: TocEntry[]; want: string[] }[])(
  "buildLayerTree() $title",
  ({ entries, want }) => {
    expect(listing(merged(entries))).toEqual(want);
  },
);

test("buildLayerTree() keeps names that are not UTF-8 apart", () => {
  const tree = merged([file(Uint8Array.of(0xff)), file(Uint8Array.of(0xfe))]);
  const names = [...tree.list(tree.root)].map(({ name }) => [...bytesOfName(name)]);
  expect(names).toEqual([[0xfe], [0xff]]);
});

test("buildLayerTree() lets the last of equal names win", () => {
  const tree = merged([file("a", { uncompressedSize: 1 }), file("a", { uncompressedSize: 2 })]);
  const node = nodeAt(tree, "a");
  expect(node !== undefined && tree.content(node)).toEqual({
    layer: 0,
    uncompressedOffset: 1536,
    size: 2,
    entry: 1,
  });
});

test("buildLayerTree() gives the root what an entry ./ says", () => {
  const tree = merged([directory("./", { mode: 0o700, uid: 7 })]);
  expect(tree.attributes(tree.root)).toMatchObject({ mode: 0o700, uid: 7 });
});

test("buildLayerTree() makes missing parents as containerd does", () => {
  const tree = merged([file("a/b")]);
  const node = nodeAt(tree, "a");
  expect(node !== undefined && tree.attributes(node)).toMatchObject({
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: { seconds: 0 },
  });
});

test("buildLayerTree() gives a parent made in a setgid directory its group", () => {
  const tree = merged([directory("a", { mode: 0o2775, gid: 50 }), file("a/b/c")]);
  const node = nodeAt(tree, "a/b");
  expect(node !== undefined && tree.attributes(node)).toMatchObject({ mode: 0o755, gid: 50 });
});

test("buildLayerTree() makes hard links names of one node with the last entry's attributes", () => {
  const tree = merged([
    file("a", { mode: 0o600, uncompressedSize: 3 }),
    hardlink("b", "a", { mode: 0o640, uid: 5 }),
  ]);
  const [a, b] = [nodeAt(tree, "a"), nodeAt(tree, "b")];
  expect(a).toBe(b as typeof a);
  expect(a !== undefined && tree.attributes(a)).toMatchObject({ mode: 0o640, uid: 5, size: 3 });
  expect(a !== undefined && tree.links(a)).toBe(2);
});

test("buildLayerTree() links to a symlink, not to what it names", () => {
  const tree = merged([file("a"), symlink("b", "a"), hardlink("c", "b")]);
  expect(nodeAt(tree, "c")).toBe(nodeAt(tree, "b") as never);
});

test("buildLayerTree() follows symlinks to a link's directory inside the root", () => {
  const tree = merged([file("usr/a"), symlink("u", "/usr"), hardlink("b", "/u/a")]);
  expect(nodeAt(tree, "b")).toBe(nodeAt(tree, "usr/a") as never);
});

test("buildLayerTree() keeps a hard link when the name it was made from is replaced", () => {
  const tree = merged([file("a"), hardlink("b", "a"), directory("a")]);
  expect(listing(tree)).toEqual(["d a", "- b@0"]);
});

test.each([
  { title: "a file as parent", entries: [file("a"), file("a/b")] },
  {
    title: "a symlink loop as parent",
    entries: [symlink("a", "b"), symlink("b", "a"), file("a/x")],
  },
  { title: "a hard link to a directory", entries: [directory("a"), hardlink("b", "a")] },
  { title: "a hard link to the root", entries: [hardlink("b", "/")] },
  { title: "a whiteout of nothing", entries: [file("a/.wh.")] },
  { title: "a whiteout of .", entries: [file(".wh..")] },
  { title: "a whiteout of ..", entries: [file("a/.wh...")] },
  { title: "a NUL in a name", entries: [file("a\0b")] },
  { title: "a name of 256 bytes", entries: [file("x".repeat(256))] },
  {
    title: "a parent of 256 bytes behind a symlink",
    entries: [symlink("a", "x".repeat(256)), file("a/b")],
  },
  { title: "a path of 4096 bytes", entries: [file(`${"a/".repeat(2048)}b`)] },
  { title: "a symlink to nothing", entries: [symlink("a", "")] },
  { title: "an unknown type", entries: [{ name: "a", type: "door" }] },
  { title: "a bad time", entries: [file("a", { modTime: "now" })] },
] satisfies { title: string; entries: TocEntry[] }[])(
  "buildLayerTree() refuses $title",
  ({ entries }) => {
    expect(() => layer(...entries)).toThrow(expect.objectContaining({ kind: "data-loss" }));
  },
);

test("buildLayerTree() stops at its limit of names", () => {
  const deep = toc([file(`${"a/".repeat(100)}b`)]);
  expect(() => buildLayerTree(deep, { maxNodes: 100 })).toThrow(/more than 100 names/);
  expect(buildLayerTree(deep, { maxNodes: 101 }).nodeCount).toBe(101);
});

test("buildLayerTree() names the layer and the entry in errors", () => {
  const entries = toc([file("a"), file("a/b")]);
  expect(() => buildLayerTree(entries, { name: "layer sha256:77" })).toThrow(
    'Cannot build the tree of layer sha256:77: entry 1 "a/b": "a" on its path is not a directory',
  );
});
