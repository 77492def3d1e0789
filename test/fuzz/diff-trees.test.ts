import { expect } from "bun:test";
import fc from "fast-check";
import { type DiffSide, diffTrees } from "../../src/image/diff-trees.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { mergeLayers } from "../../src/tree/merge-layers.ts";
import { type TocEntry, toc } from "../tree/toc-entries.ts";
import { fuzz } from "./fuzz.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";
import { hostileEntry } from "./tree-samples.ts";

function sideOf(entries: readonly TocEntry[]): DiffSide | undefined {
  return acceptedBy(
    outcomeOf(() => ({
      tree: mergeLayers([buildLayerTree(toc(entries))]),
      layers: [digestOf(Buffer.from(entries.map(({ name }) => String(name)).join("\0")))],
    })),
  );
}

const entries = fc.array(hostileEntry, { maxLength: 6 });

fuzz(
  "diffTrees() lists every path of both trees once, and the other way round the same",
  { runs: 200 },
  fc.tuple(entries, entries),
  ([first, second]) => {
    const [before, after] = [sideOf(first), sideOf(second)];
    if (before === undefined || after === undefined) return;
    const there = [...diffTrees(before, after)];
    const back = [...diffTrees(after, before)];
    const paths = there.map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    const opposite = { added: "removed", removed: "added" } as const;
    const turned = back.map(({ kind, path }) => ({
      kind: kind === "added" || kind === "removed" ? opposite[kind] : kind,
      path,
    }));
    expect(turned).toEqual(there.map(({ kind, path }) => ({ kind, path })));
    expect([...diffTrees(before, before)].filter(({ kind }) => kind !== "same")).toEqual([]);
  },
);
