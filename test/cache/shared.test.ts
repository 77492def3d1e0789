import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { LayerCache } from "../../src/cache/layer-cache.ts";
import { SpanWriter } from "../../src/cache/span-writer.ts";
import { geometryChunks } from "../../src/cache/encode-geometry.ts";
import { digestOf, hexOf } from "../../src/oci/digest.ts";
import { tempDir } from "../support/temp-dir.ts";
import type { CompareResult, CompareStart } from "./compare-reads.worker.ts";
import { claimOf, layerSample } from "./samples.ts";
import { evictSome, openStrictCache } from "./shared-layer.ts";
import { startReader } from "./start-reader.ts";

const PROGRAM = join(import.meta.dirname, "fill-and-evict.ts");
const COMPARE = join(import.meta.dirname, "compare-reads.worker.ts");
const UNIFORM = join(import.meta.dirname, "uniform-reads.worker.ts");
const CAPPED = join(import.meta.dirname, "fill-under-cap.ts");
const ROUNDS = 1500;

test("two processes fill and evict while 8 threads read: every byte is right", async () => {
  await using dir = await tempDir();
  const { digest, parts, tar } = layerSample({ size: 3_000_000, spanSize: 60_000 });
  await Bun.write(dir.join("tar"), tar);
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  const readers = await Promise.all(
    Array.from({ length: 8 }, (_, seed) => {
      const start: CompareStart = {
        handle: layer.handle,
        tarPath: dir.join("tar"),
        seed: seed + 10,
      };
      return startReader(COMPARE, start);
    }),
  );
  const children = [1, 2].map((seed) =>
    Bun.spawn([process.execPath, PROGRAM, dir.path, hexOf(digest), `${seed}`, `${ROUNDS}`], {
      stdout: "ignore",
      stderr: "inherit",
    }),
  );
  const codes = await Promise.all(children.map(({ exited }) => exited));
  const results = await Promise.all(readers.map((stop) => stop()));
  expect(codes).toEqual([0, 0]);
  expect(results.flatMap(({ faults }) => faults)).toEqual([]);
  const sum = (of: (result: CompareResult) => number) => results.reduce((n, r) => n + of(r), 0);
  expect(sum(({ hits }) => hits)).toBeGreaterThan(100);
  expect(sum(({ misses }) => misses)).toBeGreaterThan(100);
});

// Real spans hold the same bytes each time, so that a mix of two fillings would never show.
test("a span that is emptied and filled again while it is read is one filling or none", async () => {
  await using dir = await tempDir();
  const size = 150_000;
  const spans = [{ compressedStart: 0, uncompressedStart: 0, bits: 0, digest: digestOf("x") }];
  const sizes = { compressedSize: size, uncompressedSize: size };
  const digest = digestOf("layer");
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, {
    geometry: geometryChunks({ encoding: "tar", spans, ...sizes }),
    entries: new Uint8Array(1),
    inodes: new Uint8Array(1),
  });
  const readers = await Promise.all([1, 2, 3].map(() => startReader(UNIFORM, layer.handle)));
  for (let filling = 0; filling < 600; filling++) {
    using claim = claimOf(layer, 0);
    new SpanWriter(layer.files, 0).write(new Uint8Array(size).fill(1 + (filling % 255)));
    claim?.markPresent();
    expect(await evictSome(cache.root, digest, () => true)).toBe(1);
  }
  const results = await Promise.all(readers.map((stop) => stop()));
  expect(results.flatMap(({ faults }) => faults)).toEqual([]);
  expect(results.reduce((n, { hits }) => n + hits, 0)).toBeGreaterThan(0);
});

test("two processes with a cache of a tenth of the layer stay below its cap together", async () => {
  await using dir = await tempDir();
  const { digest, parts, tar } = layerSample({
    size: 40 << 20,
    spanSize: 256 << 10,
    algorithm: "uncompressed",
  });
  await Bun.write(dir.join("tar"), tar);
  const capBytes = 4 << 20;
  await using cache = await openStrictCache(dir.path, capBytes);
  await using layer = await cache.createLayer(digest, parts);
  const children = [1, 2].map((seed) =>
    Bun.spawn(
      [process.execPath, CAPPED, dir.path, hexOf(digest), `${capBytes}`, `${seed}`, "250"],
      {
        stdout: "pipe",
        stderr: "inherit",
      },
    ),
  );
  let most = 0;
  let isRunning = true;
  const ended = Promise.all(children.map(({ exited }) => exited)).then((codes) => {
    isRunning = false;
    return codes;
  });
  for (; isRunning; await Bun.sleep(2)) {
    most = Math.max(most, statSync(layer.paths.data).blocks * 512);
  }
  expect(await ended).toEqual([0, 0]);
  const outputs = await Promise.all(
    children.map(async ({ stdout }) => JSON.parse(await stdout.text())),
  );
  // More than fits at once: it must have been evicted.
  expect(outputs[0].filled + outputs[1].filled).toBeGreaterThan(32);
  expect(most).toBeLessThanOrEqual(capBytes);
  expect(most).toBeGreaterThan(capBytes / 2);
  await expectFreed(cache, layer.paths.data);
});

/** The account agrees with the disk once nobody is at it any more. */
async function expectFreed(cache: LayerCache, data: string): Promise<void> {
  for (;;) {
    const used = await cache.usedBytes();
    const found = statSync(data).blocks * 512;
    if (used >= found && used - found < 100_000) return;
    await Bun.sleep(200);
  }
}
