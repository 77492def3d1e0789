import { expect, test } from "bun:test";
import fc from "fast-check";
import { directory, file, listing, merged, type TocEntry } from "./toc-entries.ts";

/** What a name of one layer is in the model: a directory with or without an opaque mark, a file of an entry, a whiteout. */
type ModelNode = "dir" | "opaque" | "file" | "whiteout";

/** A layer as a flat map of paths, made by string operations alone. */
function modelLayer(entries: readonly TocEntry[]): Map<string, ModelNode> | undefined {
  const nodes = new Map<string, ModelNode>();
  const remove = (path: string): void => {
    for (const key of [...nodes.keys()]) {
      if (key === path || key.startsWith(`${path}/`)) nodes.delete(key);
    }
  };
  for (const { name, type } of entries) {
    const parts = String(name).split("/");
    const base = parts.at(-1) ?? "";
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = parts.slice(0, depth).join("/");
      const node = nodes.get(parent);
      if (node === "file") return undefined;
      if (node === undefined || node === "whiteout") nodes.set(parent, "dir");
    }
    const inParent = (child: string): string => [...parts.slice(0, -1), child].join("/");
    if (base === ".wh..wh..opq") {
      nodes.set(parts.slice(0, -1).join("/"), "opaque");
    } else if (base.startsWith(".wh.")) {
      const hidden = inParent(base.slice(4));
      if (!nodes.has(hidden)) nodes.set(hidden, "whiteout");
    } else if (type === "dir") {
      const node = nodes.get(parts.join("/"));
      if (node !== "dir" && node !== "opaque") {
        remove(parts.join("/"));
        nodes.set(parts.join("/"), "dir");
      }
    } else {
      remove(parts.join("/"));
      nodes.set(parts.join("/"), "file");
    }
  }
  return nodes;
}

/** overlayfs' lookup: from the top down, a component at a time, until a layer ends the search. */
function modelLookup(layers: readonly Map<string, ModelNode>[], path: string): string | undefined {
  const parts = path.split("/");
  let stack = layers.map((nodes, index) => ({ nodes, index })).reverse();
  let line: string | undefined;
  for (let depth = 1; depth <= parts.length; depth++) {
    const prefix = parts.slice(0, depth).join("/");
    const next: typeof stack = [];
    line = undefined;
    for (const layer of stack) {
      const node = layer.nodes.get(prefix);
      if (node === undefined) continue;
      if (node === "file" && next.length === 0) line = `- ${prefix}@${layer.index}`;
      if (node === "file" || node === "whiteout") break;
      line = `d ${prefix}`;
      next.push(layer);
      if (node === "opaque") break;
    }
    if (line === undefined) return undefined;
    stack = next;
  }
  return line;
}

const path = fc
  .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join("/"));
const entry: fc.Arbitrary<TocEntry> = fc.oneof(
  path.map((name) => file(name)),
  path.map((name) => directory(name)),
  path.map((name) => file(name.replace(/[^/]*$/, ".wh.$&"))),
  path.map((name) => file(`${name}/.wh..wh..opq`)),
);
const layers = fc.array(fc.array(entry, { maxLength: 8 }), { minLength: 1, maxLength: 4 });

test("mergeLayers() shows what overlayfs' lookup finds in layers unpacked as flat maps", () => {
  fc.assert(
    fc.property(layers, (all) => {
      const models = all.map(modelLayer);
      fc.pre(models.every((model) => model !== undefined));
      const known = models.filter((model) => model !== undefined);
      const paths = new Set(known.flatMap((model) => [...model.keys()]));
      const want = [...paths].map((name) => modelLookup(known, name)).filter((line) => line);
      expect(listing(merged(...all)).sort()).toEqual(want.sort() as string[]);
    }),
    { numRuns: 500 },
  );
});

test("mergeLayers() refuses the layers that the model refuses", () => {
  fc.assert(
    fc.property(layers, (all) => {
      fc.pre(all.some((entries) => modelLayer(entries) === undefined));
      expect(() => merged(...all)).toThrow(expect.objectContaining({ kind: "data-loss" }));
    }),
  );
});

test("mergeLayers() ends and stays in the tree for any entries", () => {
  const anyPath = fc
    .array(fc.constantFrom("a", "b", "..", ".", "", ".wh.a", "ü"), { maxLength: 5 })
    .map((parts) => parts.join("/"));
  const anyEntry: fc.Arbitrary<TocEntry> = fc.record({
    name: anyPath,
    linkname: anyPath,
    type: fc.constantFrom("reg", "dir", "symlink", "hardlink", "char", "fifo", "other"),
  });
  fc.assert(
    fc.property(fc.array(fc.array(anyEntry, { maxLength: 8 }), { maxLength: 4 }), (all) => {
      try {
        const tree = merged(...all);
        expect(listing(tree).length).toBeGreaterThanOrEqual(tree.nodeCount - 1);
      } catch (error) {
        expect(error).toMatchObject({ kind: "data-loss" });
      }
    }),
    { numRuns: 500 },
  );
});
