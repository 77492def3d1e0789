import { expect, test } from "bun:test";
import { utimesSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { treesDirectory } from "../../src/cache/cache-paths.ts";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import { mountCapOf } from "../../src/cache/default-cap.ts";
import { geometryChunks } from "../../src/cache/encode-geometry.ts";
import type { Eviction } from "../../src/cache/eviction.ts";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { lastUseTick } from "../../src/cache/live-map.ts";
import { LayerReader, MISS } from "../../src/cache/layer-reader.ts";
import { SpanWriter } from "../../src/cache/span-writer.ts";
import { leaseTable } from "../../src/cache/table-file.ts";
import { writeTable } from "../../src/cache/write-table.ts";
import { digestOf, hexOf } from "../../src/oci/digest.ts";
import { createLogger } from "../../src/observability/log.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";
import { fillAll, layerSample, wholeSample, writeSpan } from "./samples.ts";

const MIB = 1 << 20;
const GIB = 2 ** 30;
const LAYER_CACHE = join(import.meta.dirname, "../../src/cache/layer-cache.ts");
const LOG = join(import.meta.dirname, "../../src/observability/log.ts");

async function cacheOf(dir: TempDir, capBytes: number) {
  const evictions: Eviction[] = [];
  const warnings: string[] = [];
  const cache = await LayerCache.open({
    root: dir.path,
    sharedMemory: dir.path,
    capBytes,
    log: createLogger({ sink: ({ message }) => warnings.push(message), level: "warn" }),
    onEviction: (eviction) => evictions.push(eviction),
  });
  return { cache, evictions, warnings };
}

function sample(seed: number) {
  return layerSample({ size: 2 * MIB, spanSize: 256 * 1024, algorithm: "uncompressed", seed });
}

/** Files on disk, as the cap counts them. */
async function diskBytes(dir: TempDir): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(dir.join("cache/sha256"), { recursive: true })) {
    const found = await stat(dir.join("cache/sha256", name));
    if (found.isFile()) bytes += found.blocks * 512;
  }
  return bytes;
}

/** As if all spans had been read so many ticks from now. */
function setLastUse({ files }: CachedLayer, ticks: number): void {
  files.live.lastUse.fill(lastUseTick() + ticks);
}

/** Fills a layer and keeps the room it took. */
async function fillReserved(cache: LayerCache, layer: CachedLayer, tar: Uint8Array): Promise<void> {
  using space = await cache.reserve(tar.length, "demand");
  fillAll(layer, tar);
  space?.keep();
}

test("LayerCache.reserve() removes the layer that was unused for longest", async () => {
  await using dir = await tempDir();
  const { cache: made, evictions } = await cacheOf(dir, 7 * MIB);
  await using cache = made;
  const [a, b, c] = [sample(1), sample(2), sample(3)] as const;
  for (const { digest, parts, tar } of [a, b, c]) {
    await using layer = await cache.createLayer(digest, parts);
    await fillReserved(cache, layer, tar);
  }
  utimesSync(dir.join("cache/sha256", hexOf(b.digest), "lock"), 1000, 1000);
  using space = await cache.reserve(2 * MIB, "readahead");
  expect(space).toBeDefined();
  const left = await readdir(dir.join("cache/sha256"));
  expect(left.sort()).toEqual([hexOf(a.digest), hexOf(c.digest)].sort());
  expect(evictions).toMatchObject([{ layer: b.digest, spans: undefined }]);
});

test("LayerCache.reserve() removes trees that nobody holds, and no others", async () => {
  await using dir = await tempDir();
  await using cache = (await cacheOf(dir, 3 * MIB)).cache;
  const free = join(treesDirectory(cache.root), "free");
  const held = join(treesDirectory(cache.root), "held");
  for (const path of [free, held])
    await writeTable(path, new Uint8Array(MIB), { cacheRoot: cache.root });
  using _lease = leaseTable(held);
  utimesSync(held, 1000, 1000);
  expect(await cache.reserve(3 * MIB, "prefetch")).toBeUndefined();
  using space = await cache.reserve(1.5 * MIB, "prefetch");
  expect(space).toBeDefined();
  expect(await readdir(treesDirectory(cache.root))).toEqual(["held"]);
});

test("LayerCache.reserve() takes spans of layers in use for demand alone, the longest unused first", async () => {
  await using dir = await tempDir();
  const { cache: made, evictions, warnings } = await cacheOf(dir, 3 * MIB);
  await using cache = made;
  const { digest, parts, tar } = sample(1);
  await using layer = await cache.createLayer(digest, parts);
  await fillReserved(cache, layer, tar);
  setLastUse(layer, -100);
  const reader = new LayerReader(layer.files);
  const bytes = new Uint8Array(tar.length);
  // The first span is no longer the oldest now.
  expect(reader.read(0, 10, bytes, 0)).toBe(10);
  for (const cause of ["background", "readahead", "prefetch"] as const) {
    expect(await cache.reserve(MIB, cause)).toBeUndefined();
  }
  expect(evictions).toEqual([]);
  using space = await cache.reserve(MIB, "demand");
  expect(space).toBeDefined();
  expect(layer.isPresent(0)).toBe(true);
  expect(layer.isPresent(1)).toBe(false);
  expect(reader.read(300_000, 300_010, bytes, 0)).toBe(MISS);
  expect(evictions.length).toBe(1);
  expect(warnings).toEqual([
    "cache is too small for what is mounted: parts of it are fetched again",
  ]);
  expect(await diskBytes(dir)).toBeLessThan(2 * MIB);
  expect((await cache.usedBytes()) - (await diskBytes(dir))).toBeLessThan(1.2 * MIB);
});

test("LayerCache.reserve() leaves spans alone that were just read", async () => {
  await using dir = await tempDir();
  await using cache = (await cacheOf(dir, 3 * MIB)).cache;
  const { digest, parts, tar } = sample(1);
  await using layer = await cache.createLayer(digest, parts);
  await fillReserved(cache, layer, tar);
  setLastUse(layer, 100);
  expect(await cache.reserve(2 * MIB, "demand")).toBeUndefined();
  expect(layer.isComplete).toBe(true);
});

test("LayerCache.reserve() refuses background work above 90 % of the cap", async () => {
  await using dir = await tempDir();
  await using cache = (await cacheOf(dir, 10 * MIB)).cache;
  using first = await cache.reserve(8.9 * MIB, "background");
  expect(first).toBeDefined();
  expect(await cache.reserve(0.2 * MIB, "background")).toBeUndefined();
  using second = await cache.reserve(0.2 * MIB, "demand");
  expect(second).toBeDefined();
});

test("LayerCache.reserve() evicts a layer without spans of its own only as a whole", async () => {
  await using dir = await tempDir();
  await using cache = (await cacheOf(dir, 12 * MIB)).cache;
  const { digest, parts, tar } = wholeSample(9 * MIB);
  await using layer = await cache.createLayer(digest, parts);
  const claim = layer.claimAll();
  if (typeof claim === "string") throw new Error(claim);
  {
    using space = await cache.reserve(9 * MIB, "ingest");
    for (let span = 0; span < 3; span++) writeSpan(layer, span, tar);
    claim.markPresent();
    space?.keep();
  }
  setLastUse(layer, -100);
  using space = await cache.reserve(4 * MIB, "demand");
  expect(space).toBeDefined();
  expect(layer.presentBytes).toBe(0);
  expect(await diskBytes(dir)).toBeLessThan(MIB);
});

test("LayerCache.reserve() gives back the room that a killed filler took", async () => {
  await using dir = await tempDir();
  await using cache = (await cacheOf(dir, 200 * MIB)).cache;
  const size = 160 * MIB;
  const spans = [0, 80 * MIB].map((start) => ({
    compressedStart: start,
    uncompressedStart: start,
    bits: 0,
    digest: digestOf("x"),
  }));
  const sizes = { compressedSize: size, uncompressedSize: size };
  await using layer = await cache.createLayer(digestOf("l"), {
    geometry: geometryChunks({ encoding: "tar", spans, ...sizes }),
    entries: new Uint8Array(1),
    inodes: new Uint8Array(1),
  });
  // As if killed between writing and marking.
  const chunk = new Uint8Array(MIB).fill(1);
  const writer = new SpanWriter(layer.files, 1);
  for (let i = 0; i < 80; i++) writer.write(chunk);
  using space = await cache.reserve(150 * MIB, "demand");
  expect(space).toBeDefined();
  expect(await diskBytes(dir)).toBeLessThan(MIB);
});

test("a reservation that is not kept is given back, also when its process has died", async () => {
  await using dir = await tempDir();
  await using cache = (await cacheOf(dir, 10 * MIB)).cache;
  (await cache.reserve(8 * MIB, "demand"))?.[Symbol.dispose]();
  const script = `
    import { LayerCache } from ${JSON.stringify(LAYER_CACHE)};
    import { NO_LOG } from ${JSON.stringify(LOG)};
    const cache = await LayerCache.open({ root: ${JSON.stringify(dir.path)}, sharedMemory: ${JSON.stringify(dir.path)}, capBytes: ${10 * MIB}, log: NO_LOG });
    const space = await cache.reserve(${8 * MIB}, "demand");
    process.stdout.write(space === undefined ? "none" : "reserved");
    await new Promise(() => setInterval(() => undefined, 1000));
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  const { value } = await child.stdout.getReader().read();
  expect(Buffer.from(value ?? []).toString()).toBe("reserved");
  expect(await cache.reserve(8 * MIB, "demand")).toBeUndefined();
  child.kill("SIGKILL");
  await child.exited;
  let space = await cache.reserve(8 * MIB, "demand");
  // Until it is counted again.
  for (; space === undefined; space = await cache.reserve(8 * MIB, "demand")) await sleep(100);
  space[Symbol.dispose]();
});

test.each([
  { title: "a large file system", size: 1000, mount: 20 },
  { title: "a small one", size: 12.5, mount: 1.25 },
])("mountCapOf() $title", ({ size, mount }) => {
  expect(mountCapOf(size * GIB)).toBe(mount * GIB);
});
