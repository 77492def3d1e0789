import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ByteName, byteNameOf, byteNameOfText } from "../../src/tree/byte-name.ts";
import type { FileTree, NodeId } from "../../src/tree/file-tree.ts";
import type { LayerTree } from "../../src/tree/layer-node.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { mergeLayers } from "../../src/tree/merge-layers.ts";
import { type ResolvedPath, resolvePath } from "../../src/tree/resolve-path.ts";
import { listTree } from "../tree/table-listing.ts";
import { file, hardlink, layer, toc, type TocEntry } from "../tree/toc-entries.ts";
import { fuzz } from "./fuzz.ts";
import { outcomeOf, acceptedBy } from "./outcome.ts";
import { peakMemory } from "./peak-memory.ts";
import { busyEntry, hostileLayers, hostilePath } from "./tree-samples.ts";

function mergedOf(layers: readonly (readonly TocEntry[])[]): FileTree | undefined {
  const trees = layers.map((entries) => acceptedBy(outcomeOf(() => buildLayerTree(toc(entries)))));
  const whole = trees.filter((tree): tree is LayerTree => tree !== undefined);
  return acceptedBy(outcomeOf(() => mergeLayers(whole)));
}

/** Names that mean more than themselves must not be seen: they would lead out. */
function isPlainName(name: ByteName): boolean {
  return (
    name.length >= 1 && name.length <= 255 && name !== "." && name !== ".." && !/[/\0]/.test(name)
  );
}

/** Walks the whole tree and returns its paths; fails where it is not a tree of plain names. */
function expectTree(tree: FileTree): string[] {
  const paths: string[] = [];
  const walk = (node: NodeId, path: string): void => {
    expect(path.length).toBeLessThan(4096 + 256);
    expect(paths.length).toBeLessThan(200_000);
    for (const { name, node: child } of tree.list(node)) {
      expect(isPlainName(name)).toBe(true);
      // Only the last name of a path is a mark: an unpacker makes plain directories of those before it.
      expect(name.startsWith(".wh.") && tree.attributes(child).type !== "dir").toBe(false);
      expect(tree.lookup(node, name)).toBe(child);
      const childPath = path === "" ? name : `${path}/${name}`;
      paths.push(childPath);
      expectNode(tree, child);
      walk(child, childPath);
    }
  };
  expect(tree.attributes(tree.root).type).toBe("dir");
  walk(tree.root, "");
  return paths;
}

function expectNode(tree: FileTree, node: NodeId): void {
  const { type, mode, xattrs, devmajor, devminor } = tree.attributes(node);
  expect(mode >= 0 && mode <= 0o7777).toBe(true);
  // Overlayfs' own marks must not come from a layer.
  expect(xattrs.some(({ name }) => name.startsWith("trusted."))).toBe(false);
  expect(type === "char" && devmajor === 0 && devminor === 0).toBe(false);
  expect(tree.content(node) !== undefined).toBe(type === "reg");
}

/** Resolves a path; a result is a path without symlinks, `.` and `..`, of the node that it leads to. */
function expectResolved(tree: FileTree, path: string, followLast: boolean): void {
  const resolved = acceptedBy<ResolvedPath>(
    outcomeOf(
      () => resolvePath(tree, byteNameOfText(path), { followLast }),
      ["not-found", "failed-precondition"],
    ),
  );
  if (resolved === undefined) return;
  let node = tree.root;
  for (const name of resolved.path.split("/").filter((each) => each !== "")) {
    expect(isPlainName(name as ByteName)).toBe(true);
    expect(tree.attributes(node).type).toBe("dir");
    node = tree.lookup(node, name as ByteName) ?? expect.unreachable(name);
  }
  expect(node).toBe(resolved.node);
  if (followLast) expect(tree.attributes(node).type).not.toBe("symlink");
}

fuzz(
  "buildLayerTree() and mergeLayers() keep hostile names inside the root, or refuse the layer",
  { runs: 1200 },
  fc.record({
    layers: hostileLayers,
    paths: fc.array(hostilePath, { maxLength: 5 }),
    followLast: fc.boolean(),
  }),
  ({ layers, paths, followLast }) => {
    const tree = mergedOf(layers);
    if (tree === undefined) return;
    const all = expectTree(tree);
    for (const path of [...paths, ...all.slice(0, 50)]) expectResolved(tree, path, followLast);
  },
);

fuzz(
  "buildLayerTree() takes the order of lists and lookups from the bytes of names alone",
  { runs: 300 },
  fc.array(
    // Neither NUL nor slash: no entry is refused, none is in another's way.
    fc.uint8Array({ min: 0x30, minLength: 1, maxLength: 6 }),
    { maxLength: 12 },
  ),
  (names) => {
    const tree = mergedOf([names.map((name) => file(name))]);
    if (tree === undefined) return;
    const listed = Array.from(tree.list(tree.root), ({ name }) => name);
    expect(listed).toEqual([...listed].sort());
    const found = names.map((name) => tree.lookup(tree.root, byteNameOf(name)));
    expect(found).not.toContain(undefined);
  },
);

/** The entries with every name spelt as no other is, so that none is known from before. */
function respelt(entries: readonly TocEntry[]): TocEntry[] {
  return entries.map(({ name, ...rest }, index) => {
    const before = Buffer.from("/".repeat(index + 1));
    return { ...rest, name: Buffer.concat([before, Buffer.from(name)]) };
  });
}

fuzz(
  "buildLayerTree() makes the same of names however they are spelt",
  { runs: 1500 },
  fc.array(busyEntry, { maxLength: 25 }),
  (entries) => {
    const once = outcomeOf(() => mergeLayers([layer(...entries)]));
    const again = outcomeOf(() => mergeLayers([layer(...respelt(entries))]));
    const listed = [once, again].map((outcome) =>
      "value" in outcome ? listTree(outcome.value) : outcome,
    );
    expect(listed[0]).toEqual(listed[1]);
  },
);

const deep = (top: string): string => `${top}/${"a/".repeat(2000)}f`;

describe("buildLayerTree() and mergeLayers()", () => {
  test("refuse a layer whose names imply far more directories than it has entries", () => {
    const names = Array.from({ length: 60 }, (_, i) => file(deep(`d${i}`)));
    expect(outcomeOf(() => layer(...names))).toEqual({ refused: "data-loss" });
  });

  test("merge deep directories that no layer describes in time that grows with their number", () => {
    const files = (name: string) =>
      Array.from({ length: 30 }, (_, i) => file(deep(`d${i}`) + name));
    const others = Array.from({ length: 100 }, (_, i) => layer(file(`other-${i}`)));
    const trees = [layer(...files("1")), ...others, layer(...files("2"))];
    const start = performance.now();
    expect(mergeLayers(trees).nodeCount).toBeGreaterThan(60_000);
    // Two seconds here; as the square of the depth it would take minutes.
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  test("refuse entries that add ever more xattrs to one node", () => {
    const links = Array.from({ length: 12_000 }, (_, i) =>
      hardlink(`h${i}`, "f", { xattrs: { [`SCHILY.xattr.user.x${i}`]: "v" } }),
    );
    expect(outcomeOf(() => layer(file("f"), ...links))).toEqual({ refused: "data-loss" });
  }, 60_000);

  test("take no more memory for deep names than a small multiple of the names", async () => {
    const idle = await peakMemory("tree", "nothing");
    expect((await peakMemory("tree", "deep-names")) - idle).toBeLessThan(400 << 20);
  }, 60_000);
});
