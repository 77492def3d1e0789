import { randomFillSync } from "node:crypto";
import { gzipSync } from "node:zlib";
import { expect, test } from "bun:test";
import { buildTar } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import { coldFiles, largestFile } from "./cold-files.ts";

const KB = 1000;

/** Files of noise, so that a span of the tar is about as many bytes of gzip. */
async function layerZtoc(): Promise<Uint8Array> {
  const entries = Array.from({ length: 200 }, (_, i) => ({
    name: `files/${i}`,
    content: randomFillSync(new Uint8Array(i % 10 === 0 ? 70 * KB : 10 * KB)),
  }));
  const layer = gzipSync(await buildTar(entries));
  return (await ztocOf(layer)).bytes;
}

test("coldFiles() gives files of about the size, no two of one span, none near the one before", async () => {
  const files = coldFiles(await layerZtoc(), { size: 10 * KB, most: 20 });
  expect(files).toHaveLength(20);
  expect(files.every(({ size }) => size === 10 * KB)).toBe(true);
  const starts = files.map(({ compressedStart }) => compressedStart);
  expect(new Set(starts).size).toBe(20);
  const steps = starts.slice(1).map((start, i) => Math.abs(start - (starts[i] ?? 0)));
  expect(Math.min(...steps)).toBeGreaterThan(100 * KB);
});

test("largestFile() gives the largest that is not too large, and all of its spans", async () => {
  const { size, compressedStart, compressedEnd } = largestFile(await layerZtoc(), {
    most: 80 * KB,
  });
  expect(size).toBe(70 * KB);
  expect(compressedEnd - compressedStart).toBeGreaterThanOrEqual(70 * KB);
});

test("largestFile() refuses a layer that has none", async () => {
  const ztoc = await layerZtoc();
  expect(() => largestFile(ztoc, { most: KB })).toThrow("no file");
});
