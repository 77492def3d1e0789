import { expect, test } from "bun:test";
import type { Attributes } from "../../src/tree/attributes.ts";
import type { FileTree } from "../../src/tree/file-tree.ts";
import { mergeLayers } from "../../src/tree/merge-layers.ts";
import {
  directory,
  file,
  hardlink,
  layer,
  listing,
  merged,
  nodeAt,
  symlink,
  type TocEntry,
} from "./toc-entries.ts";

test.each([
  {
    title: "shows the upper of two files",
    layers: [[file("a"), file("b")], [file("a")]],
    want: ["- a@1", "- b@0"],
  },
  {
    title: "hides a file by its whiteout",
    layers: [[file("d/a"), file("d/b")], [file("d/.wh.a")]],
    want: ["d d", "- d/b@0"],
  },
  {
    title: "hides a directory by its whiteout",
    layers: [[file("d/a")], [file(".wh.d")]],
    want: [],
  },
  {
    title: "shows what a layer above a whiteout brings",
    layers: [[file("a")], [file(".wh.a")], [file("a")]],
    want: ["- a@2"],
  },
  {
    title: "hides all below an opaque directory, whenever its mark comes",
    layers: [
      [file("d/a"), file("d/e/f")],
      [file("d/b"), file("d/.wh..wh..opq"), file("d/c")],
    ],
    want: ["d d", "- d/b@1", "- d/c@1"],
  },
  {
    title: "does not look for an opaque mark in the root, like overlayfs",
    layers: [[file("a")], [file(".wh..wh..opq"), file("b")]],
    want: ["- a@0", "- b@1"],
  },
  {
    title: "shows a lower directory through one that has a whiteout beside it, like overlayfs",
    layers: [[file("d/a")], [file(".wh.d"), directory("d"), file("d/b")]],
    want: ["d d", "- d/a@0", "- d/b@1"],
  },
  {
    title: "puts a file over a directory",
    layers: [[file("a/b")], [file("a")]],
    want: ["- a@1"],
  },
  {
    title: "puts a directory over a file, and does not show what the file hid",
    layers: [[file("a/b")], [file("a")], [file("a/c")]],
    want: ["d a", "- a/c@2"],
  },
  {
    title: "does not follow a symlink of a lower layer to place an entry",
    layers: [[file("usr/lib/x"), symlink("lib", "usr/lib")], [file("lib/y")]],
    want: ["d lib", "- lib/y@1", "d usr", "d usr/lib", "- usr/lib/x@0"],
  },
  {
    title: "ignores whiteouts of nothing, in the lowest layer too",
    layers: [[file(".wh.a"), file("d/.wh..wh..opq")], [file("x/.wh.b")]],
    want: ["d d", "d x"],
  },
  { title: "makes an empty tree of no layers", layers: [], want: [] },
] satisfies { title: string; layers: TocEntry[][]; want: string[] }[])(
  "mergeLayers() $title",
  ({ layers, want }) => {
    expect(listing(merged(...layers))).toEqual(want);
  },
);

test("mergeLayers() gives a directory the attributes of the uppermost layer that describes it", () => {
  const tree = merged([directory("a", { mode: 0o700, uid: 1 })], [directory("a", { mode: 0o750 })]);
  expect(attributesAt(tree, "a")).toMatchObject({ mode: 0o750, uid: 0 });
});

test("mergeLayers() keeps the attributes of a directory that a layer only passes through", () => {
  const below = directory("a", { mode: 0o700, uid: 1, xattrs: { "SCHILY.xattr.user.k": "v" } });
  expect(attributesAt(merged([below], [file("a/b")]), "a")).toMatchObject({
    mode: 0o700,
    uid: 1,
    xattrs: [{ name: "user.k" }],
  });
});

test("mergeLayers() keeps the attributes of a lower directory under an opaque one nobody describes", () => {
  const tree = merged([directory("a", { mode: 0o700 })], [file("a/.wh..wh..opq")]);
  expect(attributesAt(tree, "a")).toMatchObject({ mode: 0o700 });
});

test("mergeLayers() takes a made parent's attributes from where a lower symlink leads", () => {
  const tree = merged(
    [directory("usr/lib", { mode: 0o710 }), symlink("lib", "usr/lib")],
    [file("lib/x")],
  );
  expect(attributesAt(tree, "lib")).toMatchObject({ type: "dir", mode: 0o710 });
});

test("mergeLayers() does not look below a whiteout for a made parent's attributes", () => {
  const tree = merged([directory("a", { mode: 0o700 })], [file(".wh.a")], [file("a/b")]);
  expect(attributesAt(tree, "a")).toMatchObject({ mode: 0o755 });
});

test("mergeLayers() adds the xattrs of below to a directory described after it was made", () => {
  const below = directory("a", { xattrs: { "SCHILY.xattr.user.k": "v" } });
  const described = merged([below], [file("a/b"), directory("a")]);
  const first = merged([below], [directory("a"), file("a/b")]);
  expect(attributesAt(described, "a")?.xattrs.length).toBe(1);
  expect(attributesAt(first, "a")?.xattrs.length).toBe(0);
});

test("mergeLayers() keeps the root's attributes until a layer describes it again", () => {
  const tree = merged([directory("./", { mode: 0o711 })], [file("a")]);
  expect(tree.attributes(tree.root).mode).toBe(0o711);
});

test("mergeLayers() keeps a hard link whose first name an upper layer hides", () => {
  const tree = merged([file("a", { uncompressedSize: 9 }), hardlink("b", "a")], [file(".wh.a")]);
  const node = nodeAt(tree, "b");
  expect(listing(tree)).toEqual(["- b@0"]);
  expect(node !== undefined && tree.content(node)?.size).toBe(9);
});

test("mergeLayers() takes a hard link to a file of a lower layer, as it was there", () => {
  const tree = merged(
    [file("usr/a"), symlink("u", "usr")],
    [hardlink("b", "u/a"), file("usr/.wh.a")],
  );
  expect(listing(tree)).toEqual(["- b@0", "l u -> usr", "d usr"]);
});

test("mergeLayers() refuses a hard link to nothing", () => {
  expect(() => merged([file("a")], [hardlink("b", "c")])).toThrow(
    expect.objectContaining({ kind: "data-loss" }),
  );
});

test("mergeLayers() does not change the layers: they serve other images too", () => {
  const shared = layer(file("d/a"), directory("e", { mode: 0o700 }));
  mergeLayers([shared, layer(file("d/b"), file(".wh.e"))]);
  expect(listing(mergeLayers([shared]))).toEqual(["d d", "- d/a@0", "d e"]);
});

test("mergeLayers() resolves a shared layer's made parents anew in each image", () => {
  const upper = layer(file("a/b"));
  const private_ = mergeLayers([layer(directory("a", { mode: 0o700 })), upper]);
  const public_ = mergeLayers([layer(directory("a", { mode: 0o777 })), upper]);
  expect([attributesAt(private_, "a")?.mode, attributesAt(public_, "a")?.mode]).toEqual([
    0o700, 0o777,
  ]);
});

test("mergeLayers() merges paths as deep as paths can be", () => {
  const deep = `${"a/".repeat(2000)}b`;
  expect(merged([file(deep)], [file(deep)]).nodeCount).toBe(2002);
});

function attributesAt(tree: FileTree, path: string): Attributes | undefined {
  const node = nodeAt(tree, path);
  return node === undefined ? undefined : tree.attributes(node);
}
