import { expect, test } from "bun:test";
import { localBytesOf } from "../../src/daemon/local-bytes.ts";
import { fill, fillAll, layerSample, wholeSample } from "../cache/samples.ts";
import { openStrictCache } from "../cache/shared-layer.ts";
import { tempDir } from "../support/temp-dir.ts";

test("localBytesOf() counts the compressed bytes of the spans that are here", async () => {
  const { digest, parts, tar } = layerSample();
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  const { geometry } = layer;
  const totalBytes = geometry.compressedSize;
  expect(localBytesOf(layer)).toEqual({ localBytes: 0, totalBytes });
  fill(layer, 1, tar);
  expect(localBytesOf(layer)).toEqual({
    localBytes: geometry.compressedEnd(1) - geometry.compressedStart(1),
    totalBytes,
  });
  let before = 0;
  for (let span = 0; span < geometry.spanCount - 1; span++) {
    fill(layer, span, tar);
    const { localBytes } = localBytesOf(layer);
    expect(localBytes).toBeGreaterThanOrEqual(before);
    expect(localBytes).toBeLessThanOrEqual(totalBytes);
    before = localBytes;
  }
  fillAll(layer, tar);
  expect(localBytesOf(layer)).toEqual({ localBytes: totalBytes, totalBytes });
});

test("localBytesOf() knows layers that only come whole", async () => {
  const { digest, parts, tar } = wholeSample(100_000);
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  expect(localBytesOf(layer)).toEqual({ localBytes: 0, totalBytes: 10 });
  fillAll(layer, tar);
  expect(localBytesOf(layer)).toEqual({ localBytes: 10, totalBytes: 10 });
});
