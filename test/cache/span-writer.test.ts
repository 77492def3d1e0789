import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { stat, truncate } from "node:fs/promises";
import { LayerReader, MISS } from "../../src/cache/layer-reader.ts";
import { pwriteWhole } from "../../src/cache/pwrite-whole.ts";
import { SpanWriter } from "../../src/cache/span-writer.ts";
import { tempDir } from "../support/temp-dir.ts";
import { claimOf, layerSample, writeSpan } from "./samples.ts";
import { openStrictCache } from "./shared-layer.ts";

const { digest, parts, tar } = layerSample();

test.each([1, 511, 16_384, 16_385, 100_000])(
  "SpanWriter takes chunks of %d bytes",
  async (chunk) => {
    await using dir = await tempDir();
    await using cache = await openStrictCache(dir.path);
    await using layer = await cache.createLayer(digest, parts);
    const claim = claimOf(layer, 1);
    writeSpan(layer, 1, tar, chunk);
    const reader = new LayerReader(layer.files);
    const [start, end] = [layer.geometry.uncompressedStart(1), layer.geometry.uncompressedEnd(1)];
    const bytes = new Uint8Array(end - start);
    expect(reader.read(start, end, bytes, 0)).toBe(MISS);
    claim?.markPresent();
    expect(reader.read(start, end, bytes, 0)).toBe(end - start);
    expect(Buffer.compare(bytes, tar.subarray(start, end))).toBe(0);
  },
);

test("SpanWriter.readable says how far LayerReader.readFilled() can go", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  using claim = claimOf(layer, 2);
  expect(claim).toBeDefined();
  const writer = new SpanWriter(layer.files, 2);
  const reader = new LayerReader(layer.files);
  const start = layer.geometry.uncompressedStart(2);
  const end = layer.geometry.uncompressedEnd(2);
  writer.write(tar.subarray(start, start + 20_000));
  expect(writer.readable).toBe(start + 16_384);
  const bytes = new Uint8Array(100_000);
  expect(reader.readFilled(start + 5, start + 16_000, bytes, 30_000)).toBe(15_995);
  expect(
    Buffer.compare(bytes.subarray(30_000, 45_995), tar.subarray(start + 5, start + 16_000)),
  ).toBe(0);
  expect(reader.read(start + 5, start + 16_000, bytes, 0)).toBe(MISS);
  writer.write(tar.subarray(start + 20_000, end));
  expect(writer.isComplete).toBe(true);
  expect(writer.readable).toBe(end);
  expect(reader.readFilled(start, end, bytes, 0)).toBe(end - start);
});

test("SpanWriter refuses more bytes than the span has", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  const writer = new SpanWriter(layer.files, 0);
  writer.write(tar.subarray(0, 40_000));
  expect(() => writer.write(tar.subarray(40_000, 60_000))).toThrow(
    expect.objectContaining({ kind: "data-loss" }),
  );
});

test("SpanWriter gives a data file that was cut its size back", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  await truncate(layer.paths.data, 10);
  writeSpan(layer, 1, tar);
  expect((await stat(layer.paths.data)).size).toBe(layer.geometry.dataSize);
});

test("a claim that is given up gives the room of what was written back", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  {
    using _claim = claimOf(layer, 1);
    writeSpan(layer, 1, tar);
    expect((await stat(layer.paths.data)).blocks * 512).toBeGreaterThan(40_000);
  }
  expect((await stat(layer.paths.data)).blocks * 512).toBeLessThan(10_000);
  expect(claimOf(layer, 1)).toBeDefined();
});

test("pwriteWhole() tells a full disk from other failures", () => {
  const full = openSync("/dev/full", "r+");
  const readOnly = openSync("/dev/null", "r");
  try {
    expect(pwriteWhole(full, new Uint8Array(10), 0)).toBe(false);
    expect(() => pwriteWhole(readOnly, new Uint8Array(10), 0)).toThrow(
      expect.objectContaining({ kind: "failed-precondition" }),
    );
  } finally {
    closeSync(full);
    closeSync(readOnly);
  }
});
