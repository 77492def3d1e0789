import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { tempDir } from "../support/temp-dir.ts";
import { fill, fillAll, layerSample, opened, wholeSample, writeSpan } from "./samples.ts";
import { openStrictCache } from "./shared-layer.ts";

const { digest, parts, tar } = layerSample();

test("CachedLayer.claim() excludes other claims, here and through another opening", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  await using other = await opened(cache, digest);
  const claim = layer.claim(3);
  if (typeof claim === "string") throw new Error(claim);
  expect(layer.claim(3)).toBe("busy");
  expect(other.claim(3)).toBe("busy");
  expect(other.claimAll()).toBe("busy");
  expect(layer.claimAll()).toBe("busy");
  expect(fill(other, 4, tar)).toBe(true);
  expect(layer.claim(4)).toBe("present");
  writeSpan(layer, 3, tar);
  claim.markPresent();
  claim[Symbol.dispose]();
  expect(other.claim(3)).toBe("present");
  expect(() => claim.markPresent()).toThrow();
});

test("CachedLayer.claim() can be had again after it was given up", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  await using other = await opened(cache, digest);
  const claim = layer.claim(0);
  if (typeof claim === "string") throw new Error(claim);
  claim[Symbol.dispose]();
  expect(fill(other, 0, tar)).toBe(true);
  expect(layer.isPresent(0)).toBe(true);
});

test("CachedLayer.claimAll() marks all spans present at once", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  const whole = wholeSample(5_000_000);
  await using layer = await cache.createLayer(whole.digest, whole.parts);
  const claim = layer.claimAll();
  if (typeof claim === "string") throw new Error(claim);
  for (const span of [0, 1]) writeSpan(layer, span, whole.tar, 1 << 20);
  expect(layer.presentBytes).toBe(0);
  claim.markPresent();
  expect(layer.presentBytes).toBe(5_000_000);
  expect(layer.claimAll()).toBe("present");
});

test("LayerCache.claimIngest() is one process's at a time, for each digest", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  const claim = cache.claimIngest(digest);
  expect(claim).toBeDefined();
  expect(cache.claimIngest(digest)).toBeUndefined();
  using other = cache.claimIngest(wholeSample(1).digest);
  expect(other).toBeDefined();
  claim?.[Symbol.dispose]();
  using again = cache.claimIngest(digest);
  expect(again).toBeDefined();
});

test("CachedLayer closes twice, and its lease goes with it", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  const layer = await cache.createLayer(digest, parts);
  fillAll(layer, tar);
  await Promise.all([layer[Symbol.asyncDispose](), layer[Symbol.asyncDispose]()]);
  await layer[Symbol.asyncDispose]();
  await using again = await opened(cache, digest);
  expect(again.isComplete).toBe(true);
});

test("a claim that outlives its layer touches no file that has the layer's descriptors by now", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  const layer = await cache.createLayer(digest, parts);
  const [given, marked] = [layer.claim(0), layer.claim(1)];
  await layer[Symbol.asyncDispose]();
  const path = dir.join("other");
  await Bun.write(path, new Uint8Array(200_000).fill(7));
  const fds = Array.from({ length: 16 }, () => openSync(path, "r+"));
  try {
    if (typeof given === "string" || typeof marked === "string") throw new Error("no claim");
    given[Symbol.dispose]();
    expect(() => marked.markPresent()).toThrow("without a claim");
    expect(readFileSync(path).every((byte) => byte === 7)).toBe(true);
  } finally {
    for (const fd of fds) closeSync(fd);
  }
});
