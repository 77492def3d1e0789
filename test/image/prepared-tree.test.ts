import { describe, expect, test } from "bun:test";
import { rm, truncate } from "node:fs/promises";
import { layerDirectory } from "../../src/cache/cache-paths.ts";
import { LayerTables } from "../../src/image/layer-tables.ts";
import { ensureTree } from "../../src/image/prepared-tree.ts";
import { mapTable } from "../../src/cache/table-file.ts";
import { ChainTable } from "../../src/tree/chain-table.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";
import { placeImage } from "./opened-image.ts";
import { image } from "./prepare-samples.ts";
import { startPreparation } from "./started-preparation.ts";

const layers = image.layers.map(({ descriptor }) => descriptor.digest);

/** The layers in a cache, and a way to make trees of them; how often that had to begin. */
async function withLayers() {
  await using resources = new AsyncDisposableStack();
  const root = resources.use(await tempDir());
  await using placed = await placeImage(image);
  const started = resources.use(await startPreparation(root.path, placed.name));
  await started.outcomes(image.layers);
  const { cache } = started;
  let starts = 0;
  const startTables = () => {
    starts++;
    return new LayerTables({ cacheRoot: cache.root });
  };
  const owned = resources.move();
  return {
    cache,
    ensure: (...some: typeof layers) => ensureTree({ cache, startTables, layers: some }),
    starts: () => starts,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe("ensureTree()", () => {
  test("makes the tree of layers in the cache, once", async () => {
    await using setup = await withLayers();
    using first = await setup.ensure(...layers.slice(0, 1));
    using second = await setup.ensure(...layers.slice(0, 1));
    expect(second.treePath).toBe(first.treePath);
    expect(setup.starts()).toBe(1);
    expect(ChainTable.open(mapTable(first.treePath)).childCount(0)).toBe(2);
  });

  test("makes a tree again that is damaged", async () => {
    await using setup = await withLayers();
    using first = await setup.ensure(...layers);
    await truncate(first.treePath, 20);
    using second = await setup.ensure(...layers);
    expect(ChainTable.open(mapTable(second.treePath)).childCount(0)).toBe(2);
  });

  test("makes the tree of no layers", async () => {
    await using setup = await withLayers();
    using tree = await setup.ensure();
    expect(ChainTable.open(mapTable(tree.treePath)).childCount(0)).toBe(0);
  });

  test("takes a layer that comes twice", async () => {
    await using setup = await withLayers();
    using tree = await setup.ensure(...layers, ...layers.slice(0, 1));
    expect(ChainTable.open(mapTable(tree.treePath)).childCount(0)).toBe(3);
  });

  test("throws not-found when a layer is gone", async () => {
    await using setup = await withLayers();
    const [lowest, ...others] = layers;
    if (lowest === undefined) throw new Error("no layer");
    await rm(layerDirectory(setup.cache.root, lowest), { recursive: true });
    expect(await rejectionOf(setup.ensure(lowest, ...others, lowest))).toMatchObject({
      kind: "not-found",
    });
  });
});
