import { expect, test } from "bun:test";
import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import { layerDirectory } from "../../src/cache/cache-paths.ts";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { openLiveDirectory } from "../../src/cache/live-directory.ts";
import { DAMAGED, LayerReader, MISS } from "../../src/cache/layer-reader.ts";
import { hexOf } from "../../src/oci/digest.ts";
import { ownProcess } from "../../src/oci/process-id.ts";
import { createLogger, type LogRecord, NO_LOG } from "../../src/observability/log.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";
import { fill, fillAll, layerSample, opened } from "./samples.ts";

const SAMPLE = layerSample();
const { digest, parts, tar } = SAMPLE;

async function cacheIn(dir: TempDir): Promise<LayerCache> {
  return await LayerCache.open({ root: dir.path, sharedMemory: dir.path, log: NO_LOG });
}

/** A cache on disk with the whole sample in it; its layer's directory. */
async function filledCache(dir: TempDir): Promise<string> {
  await using cache = await cacheIn(dir);
  await using layer = await cache.createLayer(digest, parts);
  fillAll(layer, tar);
  return layer.paths.directory;
}

/** Reads all of the layer, filling again what is missing or damaged; how many spans that were. */
function readAll(layer: CachedLayer): number {
  const reader = new LayerReader(layer.files);
  const bytes = new Uint8Array(tar.length);
  let filled = 0;
  for (let span = 0; span < layer.geometry.spanCount; span++) {
    const start = layer.geometry.uncompressedStart(span);
    const end = layer.geometry.uncompressedEnd(span);
    let count = reader.read(start, end, bytes, start);
    if (count === DAMAGED) expect(layer.damage(span)).toBe(true);
    if (count < 0) {
      expect(fill(layer, span, tar)).toBe(true);
      filled++;
      count = reader.read(start, end, bytes, start);
    }
    expect(count).toBe(end - start);
  }
  expect(Buffer.compare(bytes, tar)).toBe(0);
  return filled;
}

async function flip(path: string, offset: number): Promise<void> {
  const handle = await open(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, offset);
    byte[0] = (byte[0] ?? 0) ^ 1;
    await handle.write(byte, 0, 1, offset);
  } finally {
    await handle.close();
  }
}

async function removeLive(dir: TempDir): Promise<void> {
  for (const name of await readdir(dir.path)) {
    if (name.startsWith("sociable-")) await rm(dir.join(name), { recursive: true });
  }
}

const SPANS = 12;

// What is done to the files of a closed layer, and how much is fetched again.
test.each([
  { title: "nothing", harm: async () => undefined, again: [0, 0] },
  {
    title: "data truncated",
    harm: (_: TempDir, at: string) => truncate(join(at, "data"), 300_000),
    again: [1, SPANS - 1],
  },
  {
    title: "data truncated to nothing",
    harm: (_: TempDir, at: string) => truncate(join(at, "data"), 0),
    again: [SPANS, SPANS],
  },
  {
    title: "data longer than it should be",
    harm: (_: TempDir, at: string) => truncate(join(at, "data"), 1e6),
    again: [0, 0],
  },
  {
    title: "one byte of data flipped",
    harm: (_: TempDir, at: string) => flip(join(at, "data"), 123_456),
    again: [1, 1],
  },
  {
    title: "data removed",
    harm: (_: TempDir, at: string) => rm(join(at, "data")),
    again: [SPANS, SPANS],
  },
  {
    title: "data replaced by a directory",
    harm: async (_: TempDir, at: string) => {
      await rm(join(at, "data"));
      mkdirSync(join(at, "data"));
    },
    again: [SPANS, SPANS],
  },
  {
    title: "data replaced by a link out of the cache",
    harm: async (dir: TempDir, at: string) => {
      await rename(join(at, "data"), dir.join("stolen"));
      symlinkSync(dir.join("stolen"), join(at, "data"));
    },
    again: [SPANS, SPANS],
  },
  {
    title: "map removed",
    harm: (_: TempDir, at: string) => rm(join(at, "map")),
    again: [SPANS, SPANS],
  },
  {
    title: "map truncated",
    harm: (_: TempDir, at: string) => truncate(join(at, "map"), 70),
    again: [SPANS, SPANS],
  },
  {
    title: "header of the map damaged",
    harm: (_: TempDir, at: string) => flip(join(at, "map"), 17),
    again: [SPANS, SPANS],
  },
  {
    title: "CRCs of the map damaged and no live map",
    harm: async (dir: TempDir, at: string) => {
      await removeLive(dir);
      await flip(join(at, "map"), 90);
    },
    again: [1, 1],
  },
  { title: "lock removed", harm: (_: TempDir, at: string) => rm(join(at, "lock")), again: [0, 0] },
] as const)("a layer with $title opens and is right", async ({ harm, again }) => {
  await using dir = await tempDir();
  await harm(dir, await filledCache(dir));
  for (const isFirst of [true, false]) {
    await using cache = await cacheIn(dir);
    await using layer = await opened(cache, digest);
    const filled = readAll(layer);
    const [least, most] = again;
    expect(filled).toBeGreaterThanOrEqual(isFirst ? least : 0);
    expect(filled).toBeLessThanOrEqual(isFirst ? most : 0);
  }
});

test.each([
  { title: "geometry truncated", harm: (at: string) => truncate(join(at, "geometry"), 100) },
  { title: "geometry empty", harm: (at: string) => truncate(join(at, "geometry"), 0) },
  { title: "geometry removed", harm: (at: string) => rm(join(at, "geometry")) },
  {
    title: "a record of the geometry damaged",
    harm: (at: string) => flip(join(at, "geometry"), 99),
  },
  { title: "inodes truncated", harm: (at: string) => truncate(join(at, "inodes"), 3) },
  { title: "inodes removed", harm: (at: string) => rm(join(at, "inodes")) },
  { title: "entries removed", harm: (at: string) => rm(join(at, "entries")) },
  {
    title: "the mark of a boot that ended before it was on disk",
    harm: (at: string) => writeFile(join(at, `unsynced.${"0".repeat(32)}`), ""),
  },
])("a layer with $title is removed, and can be made again", async ({ harm }) => {
  await using dir = await tempDir();
  await harm(await filledCache(dir));
  await using cache = await cacheIn(dir);
  expect(await cache.openLayer(digest)).toBeUndefined();
  expect(await readdir(dir.join("cache/sha256"))).toEqual([]);
  await using layer = await cache.createLayer(digest, parts);
  expect(readAll(layer)).toBe(layer.geometry.spanCount);
});

test("CachedLayer.inodes() refuses a table with a flipped byte", async () => {
  await using dir = await tempDir();
  await flip(join(await filledCache(dir), "inodes"), 2);
  await using cache = await cacheIn(dir);
  await using layer = await opened(cache, digest);
  expect(() => layer.inodes()).toThrow(expect.objectContaining({ kind: "data-loss" }));
});

test("a window with a flipped byte is refused, the others are not", async () => {
  await using dir = await tempDir();
  await using cache = await cacheIn(dir);
  await using layer = await cache.createLayer(digest, parts);
  await flip(layer.paths.geometry, 4096 + 32_768 + 5);
  expect(() => layer.files.window(1)).toThrow(expect.objectContaining({ kind: "data-loss" }));
  expect(layer.files.window(2).length).toBe(32_768);
});

// What happens to the files while a layer is open.
test.each([
  { title: "truncated", harm: (path: string) => truncate(path, 100_000) },
  {
    title: "damaged",
    harm: async (path: string) => {
      for (let at = 0; at < tar.length; at += 10_000) await flip(path, at);
    },
  },
  { title: "removed", harm: (path: string) => rm(path) },
])("a layer whose data is $title under it goes on", async ({ harm }) => {
  await using dir = await tempDir();
  await using cache = await cacheIn(dir);
  await using layer = await cache.createLayer(digest, parts);
  fillAll(layer, tar);
  await harm(layer.paths.data);
  readAll(layer);
  expect(readAll(layer)).toBe(0);
});

test("a layer whose whole cache is removed under it goes on, and another can be made beside it", async () => {
  await using dir = await tempDir();
  await using cache = await cacheIn(dir);
  await using layer = await cache.createLayer(digest, parts);
  fillAll(layer, tar);
  await rm(layerDirectory(cache.root, digest), { recursive: true });
  await removeLive(dir);
  expect(readAll(layer)).toBe(0);
  await layer.flush();
  expect(await cache.openLayer(digest)).toBeUndefined();
  await using other = await cache.createLayer(digest, parts);
  expect(readAll(other)).toBe(other.geometry.spanCount);
  expect(readAll(layer)).toBe(0);
});

test("CachedLayer.damage() says once what was expected, and leaves sound spans alone", async () => {
  await using dir = await tempDir();
  const records: LogRecord[] = [];
  const log = createLogger({ sink: (record) => records.push(record), level: "warn" });
  await using cache = await LayerCache.open({ root: dir.path, sharedMemory: dir.path, log });
  await using layer = await cache.createLayer(digest, parts);
  fillAll(layer, tar);
  await flip(layer.paths.data, layer.geometry.uncompressedStart(2) + 20_000);
  await flip(layer.paths.data, layer.geometry.uncompressedStart(3));
  expect(layer.damage(1)).toBe(false);
  expect(layer.damage(2)).toBe(true);
  expect(layer.damage(2)).toBe(false);
  expect(layer.damage(3)).toBe(true);
  expect(layer.isPresent(1)).toBe(true);
  expect(new LayerReader(layer.files).read(0, tar.length, new Uint8Array(tar.length), 0)).toBe(
    MISS,
  );
  expect(records).toMatchObject([
    {
      message: "cached data damaged: it will be fetched again",
      fields: { layer: digest, uncompressedStart: layer.geometry.uncompressedStart(2) + 16_384 },
    },
  ]);
  // A report that comes late, after it was filled again.
  fill(layer, 2, tar);
  expect(layer.damage(2)).toBe(false);
});

test("spans that only the live map knows are made durable by the next who opens the layer", async () => {
  await using dir = await tempDir();
  let live: Uint8Array;
  let livePath: string;
  let mapPath: string;
  {
    await using cache = await cacheIn(dir);
    await using layer = await cache.createLayer(digest, parts);
    fillAll(layer, tar);
    livePath = join(openLiveDirectory(cache.root, dir.path) ?? "", hexOf(digest));
    mapPath = layer.paths.map;
    live = await readFile(livePath);
  }
  // As a process leaves it that is killed before it has flushed.
  await writeFile(livePath, live);
  const map = await readFile(mapPath);
  map.fill(0, 64, 64 + SPANS);
  await writeFile(mapPath, map, { flag: "r+" });
  {
    await using cache = await cacheIn(dir);
    await using layer = await opened(cache, digest);
    expect(layer.isComplete).toBe(true);
  }
  expect(existsSync(livePath)).toBe(false);
  await using cache = await cacheIn(dir);
  await using layer = await opened(cache, digest);
  expect(readAll(layer)).toBe(0);
});

test("the live map stays as long as one process has the layer open", async () => {
  await using dir = await tempDir();
  await using cache = await cacheIn(dir);
  const layer = await cache.createLayer(digest, parts);
  const livePath = join(openLiveDirectory(cache.root, dir.path) ?? "", hexOf(digest));
  {
    await using other = await opened(cache, digest);
    await layer[Symbol.asyncDispose]();
    await using third = await opened(cache, digest);
    fill(other, 1, tar);
    expect(third.isPresent(1)).toBe(true);
    expect(existsSync(livePath)).toBe(true);
  }
  expect(existsSync(livePath)).toBe(false);
});

test("LayerCache.open() removes what a dead process left half made, and leaves the living alone", async () => {
  await using dir = await tempDir();
  const program = `
    import { hexOf } from "../../src/oci/digest.ts";
import { ownProcess } from ${JSON.stringify(join(import.meta.dirname, "../../src/oci/process-id.ts"))};
    process.stdout.write(await ownProcess());
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
  const dead = `${await child.stdout.text()}.x`;
  await child.exited;
  const living = `${await ownProcess()}.y`;
  const ingest = dir.join("cache/ingest");
  for (const name of [living, dead, "something else"]) {
    await mkdir(join(ingest, name), { recursive: true });
    await writeFile(join(ingest, name, "data"), "x");
  }
  await using _cache = await cacheIn(dir);
  while ((await readdir(ingest)).includes(dead)) await sleep(5);
  expect((await readdir(ingest)).sort()).toEqual([living, "something else"].sort());
});
