import { expect, test } from "bun:test";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { LayerReader, MISS } from "../../src/cache/layer-reader.ts";
import { syncLayer, syncStateOf } from "../../src/cache/unsynced-mark.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { tempDir } from "../support/temp-dir.ts";
import { fill, fillAll, layerSample, opened } from "./samples.ts";

test("LayerCache keeps what was filled across closing and opening", async () => {
  await using dir = await tempDir();
  const options = { root: dir.path, sharedMemory: dir.path, log: NO_LOG };
  const { digest, parts, tar } = layerSample();
  {
    await using cache = await LayerCache.open(options);
    expect(await cache.openLayer(digest)).toBeUndefined();
    await using layer = await cache.createLayer(digest, parts);
    expect(layer.geometry.spanCount).toBeGreaterThan(5);
    const reader = new LayerReader(layer.files);
    const bytes = new Uint8Array(tar.length);
    expect(reader.read(0, 10, bytes, 0)).toBe(MISS);
    expect(fill(layer, 2, tar)).toBe(true);
    expect(fill(layer, 2, tar)).toBe(false);
    fillAll(layer, tar);
    expect(reader.read(0, tar.length, bytes, 0)).toBe(tar.length);
    expect(Buffer.from(bytes).equals(tar)).toBe(true);
  }
  await using cache = await LayerCache.open(options);
  await using layer = await opened(cache, digest);
  expect(layer.isComplete).toBe(true);
  expect(Buffer.from(layer.entries()).toString()).toBe("entries");
  const reader = new LayerReader(layer.files);
  const bytes = new Uint8Array(100_000);
  expect(reader.read(70_000, 120_000, bytes, 20_000)).toBe(50_000);
  expect(Buffer.from(bytes.subarray(20_000, 70_000)).equals(tar.subarray(70_000, 120_000))).toBe(
    true,
  );
});

test("a new layer is marked until its files are on disk", async () => {
  await using dir = await tempDir();
  const { digest, parts } = layerSample();
  await using cache = await LayerCache.open({
    root: dir.path,
    sharedMemory: dir.path,
    log: NO_LOG,
  });
  await using layer = await cache.createLayer(digest, parts);
  const { directory } = layer.paths;
  expect(await syncStateOf(directory)).toBe("unsynced");
  await syncLayer(directory);
  expect(await syncStateOf(directory)).toBe("synced");
  await syncLayer(directory);
});
