import { expect, test } from "bun:test";
import { utimesSync } from "node:fs";
import { readdir } from "node:fs/promises";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import type { Eviction } from "../../src/cache/eviction.ts";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { fileNameOfKey, keyByZtoc, type LayerKey } from "../../src/cache/layer-key.ts";
import { lastUseTick } from "../../src/cache/live-map.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { tempDir } from "../support/temp-dir.ts";
import { fill, fillAll, layerSample } from "./samples.ts";

// One layer, in the cache by its digest and by two zTOCs: three that have nothing in common.

const MIB = 1 << 20;
const { digest, parts, tar } = layerSample({
  size: 2 * MIB,
  spanSize: 256 * 1024,
  algorithm: "uncompressed",
});
const [FIRST, SECOND] = [
  keyByZtoc(digest, digestOf("one")),
  keyByZtoc(digest, digestOf("another")),
] as const;
const KEYS: readonly LayerKey[] = [digest, FIRST, SECOND];

async function cacheAt(root: string, capBytes = 100 * MIB) {
  const evictions: Eviction[] = [];
  const onEviction = (eviction: Eviction) => evictions.push(eviction);
  const sharedMemory = root;
  const cache = await LayerCache.open({ root, sharedMemory, capBytes, log: NO_LOG, onEviction });
  return { cache, evictions };
}

/** Fills a layer and keeps the room it took. */
async function fillReserved(cache: LayerCache, layer: CachedLayer): Promise<void> {
  using space = await cache.reserve(tar.length, "demand");
  fillAll(layer, tar);
  space?.keep();
}

test("a span that comes by one name is there by no other, now or later", async () => {
  await using dir = await tempDir();
  {
    await using cache = (await cacheAt(dir.path)).cache;
    await using open = new AsyncDisposableStack();
    const layers = [];
    for (const key of KEYS) layers.push(open.use(await cache.createLayer(key, parts)));
    const [, first] = layers;
    if (first === undefined) throw new Error("no layers");
    fill(first, 1, tar);
    expect(layers.map((layer) => layer.isPresent(1))).toEqual([false, true, false]);
    expect(layers.map((layer) => layer.digest)).toEqual([digest, digest, digest]);
    expect(layers.map(({ key }) => key)).toEqual([...KEYS]);
    await cache.removeLayer(FIRST);
  }
  await using cache = (await cacheAt(dir.path)).cache;
  expect(await cache.openLayer(FIRST)).toBeUndefined();
  await using whole = await cache.openLayer(digest);
  expect(whole?.isPresent(1)).toBe(false);
});

test("each of them is evicted for itself, when nobody uses it", async () => {
  await using dir = await tempDir();
  const { cache: made, evictions } = await cacheAt(dir.path, 7 * MIB);
  await using cache = made;
  for (const key of KEYS) {
    await using layer = await cache.createLayer(key, parts);
    await fillReserved(cache, layer);
  }
  utimesSync(dir.join("cache/sha256", fileNameOfKey(FIRST), "lock"), 1000, 1000);
  using space = await cache.reserve(2 * MIB, "readahead");
  expect(space).toBeDefined();
  const left = await readdir(dir.join("cache/sha256"));
  expect(left.sort()).toEqual([digest, SECOND].map(fileNameOfKey).sort());
  expect(evictions).toMatchObject([{ layer: digest, spans: undefined }]);
});

test("spans of one in use are evicted, as those of any layer", async () => {
  await using dir = await tempDir();
  const { cache: made, evictions } = await cacheAt(dir.path, 3 * MIB);
  await using cache = made;
  await using layer = await cache.createLayer(FIRST, parts);
  await fillReserved(cache, layer);
  layer.files.live.lastUse.fill(lastUseTick() - 100);
  using space = await cache.reserve(MIB, "demand");
  expect(space).toBeDefined();
  expect(layer.isComplete).toBe(false);
  expect(evictions).toMatchObject([{ layer: digest }]);
});
