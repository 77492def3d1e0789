import { expect } from "bun:test";
import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import fc from "fast-check";
import { crcBlocksOf, crcIndexOf, crcTableLength } from "../../src/cache/crc-blocks.ts";
import { decodeDurableMap, encodeDurableMap } from "../../src/cache/durable-map.ts";
import { wholeGeometry } from "../../src/cache/encode-geometry.ts";
import { LayerGeometry } from "../../src/cache/layer-geometry.ts";
import { DAMAGED, LayerReader, MISS } from "../../src/cache/layer-reader.ts";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import { emptyMap } from "../../src/cache/open-layer-data.ts";
import { mapTable, tableTrailer } from "../../src/cache/table-file.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { fillAll, layerSample, opened } from "../cache/samples.ts";
import { evictSome, fillIfFree } from "../cache/shared-layer.ts";
import { tempDir } from "../support/temp-dir.ts";
import { fuzz, fuzzAsync } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";

const SAMPLE = layerSample({ size: 300_000, spanSize: 30_000 });
const { digest, parts, tar } = SAMPLE;
const GEOMETRIES = [
  Buffer.concat([...parts.geometry]),
  Buffer.concat([
    ...layerSample({ size: 9000, spanSize: 4000, algorithm: "uncompressed" }).parts.geometry,
  ]),
  Buffer.concat([...wholeGeometry({ compressedSize: 3, uncompressedSize: 9 << 20 })]),
];

fuzz(
  "LayerGeometry.decode() takes what it is given or refuses it; what it takes is in order",
  { runs: 2000 },
  mutationsOf(GEOMETRIES),
  (bytes) => {
    const geometry = acceptedBy(outcomeOf(() => LayerGeometry.decode(bytes)));
    if (geometry === undefined) return;
    let end = 0;
    for (let span = 0; span < geometry.spanCount; span++) {
      expect(geometry.uncompressedStart(span)).toBe(end);
      end = geometry.uncompressedEnd(span);
      expect(geometry.compressedEnd(span)).toBeLessThanOrEqual(geometry.compressedSize);
    }
    expect(end).toBe(geometry.dataSize);
  },
);

const GEOMETRY = LayerGeometry.decode(GEOMETRIES[0] ?? new Uint8Array(0));
const DATA = { inode: 77n, size: GEOMETRY.dataSize };

fuzz(
  "decodeDurableMap() takes a map of this data or nothing",
  { runs: 2000 },
  mutationsOf([encodeDurableMap(GEOMETRY, DATA, emptyMap(GEOMETRY))]),
  (bytes) => {
    const map = decodeDurableMap(bytes, GEOMETRY, DATA);
    if (map === undefined) return;
    // A changed flag or CRC costs a fetch, never a wrong byte: reading checks.
    expect(map.presence.length).toBe(GEOMETRY.spanCount);
    expect(map.crcs.length).toBe(crcTableLength(GEOMETRY.spanCount, GEOMETRY.dataSize));
    expect(decodeDurableMap(bytes, GEOMETRY, { ...DATA, inode: 78n })).toBeUndefined();
  },
);

fuzz(
  "CRC tables have room for all blocks of all spans, each once",
  { runs: 300 },
  fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 60 }),
  (lengths) => {
    let start = 0;
    let next = 0;
    for (const [span, length] of lengths.entries()) {
      const index = crcIndexOf(span, start);
      expect(index).toBeGreaterThanOrEqual(next);
      next = index + crcBlocksOf(length);
      start += length;
    }
    expect(next).toBeLessThanOrEqual(crcTableLength(lengths.length, start));
  },
);

fuzzAsync(
  "mapTable() gives what was written, or refuses it",
  { runs: 300 },
  fc.uint8Array({ maxLength: 300 }).chain((content) =>
    mutationsOf([Buffer.concat([content, tableTrailer(content)])], 2).map((bytes) => ({
      content,
      bytes,
    })),
  ),
  async ({ content, bytes }) => {
    await using dir = await tempDir();
    writeFileSync(dir.join("table"), bytes);
    const got = acceptedBy(outcomeOf(() => mapTable(dir.join("table"))));
    const isSame = Buffer.concat([content, tableTrailer(content)]).equals(bytes);
    if (isSame) expect(got).toEqual(content);
    if (got !== undefined) expect(Buffer.concat([got, tableTrailer(got)]).equals(bytes)).toBe(true);
  },
);

const range = fc
  .tuple(fc.nat(tar.length - 1), fc.nat(tar.length))
  .map(([start, length]) => ({ start, end: Math.min(tar.length, start + length) }));

fuzzAsync(
  "LayerReader.read() puts any range anywhere, and touches nothing but its slack",
  { runs: 20 },
  fc.array(fc.record({ range, before: fc.nat(40_000), behind: fc.nat(40_000) }), {
    minLength: 30,
    maxLength: 60,
  }),
  async (reads) => {
    await using dir = await tempDir();
    await using cache = await LayerCache.open({
      root: dir.path,
      sharedMemory: dir.path,
      log: NO_LOG,
    });
    await using layer = await cache.createLayer(digest, parts);
    fillAll(layer, tar);
    const reader = new LayerReader(layer.files);
    for (const {
      range: { start, end },
      before,
      behind,
    } of reads) {
      const bytes = new Uint8Array(before + end - start + behind).fill(0xee);
      expect(reader.read(start, end, bytes, before)).toBe(end - start);
      const got = bytes.subarray(before, before + end - start);
      expect(Buffer.compare(got, tar.subarray(start, end))).toBe(0);
      const farBefore = bytes.subarray(0, Math.max(0, before - 16_384));
      const farBehind = bytes.subarray(before + end - start + 16_384);
      expect(farBefore.every((byte) => byte === 0xee)).toBe(true);
      expect(farBehind.every((byte) => byte === 0xee)).toBe(true);
    }
  },
);

/** Things that happen to a cache. */
const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("fill"), span: fc.nat(30) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("read"), span: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("evict"), span: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("flush"), span: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen"), span: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("boot"), span: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut"), span: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose map"), span: fc.constant(0) }) },
);

fuzzAsync(
  "whatever happens to a cache, what it gives is right, and nothing is damaged but what was cut",
  { runs: 25 },
  fc.array(event, { minLength: 10, maxLength: 80 }),
  async (events) => {
    await using dir = await tempDir();
    const root = dir.path;
    let cache = await LayerCache.open({ root, sharedMemory: root, log: NO_LOG });
    let layer = await cache.createLayer(digest, parts);
    let isCut = false;
    for (const { kind, span: number } of events) {
      const span = number % layer.geometry.spanCount;
      if (kind === "fill") fillIfFree(layer, span, tar);
      else if (kind === "read") checkSpan(layer, span, isCut);
      else if (kind === "evict") await evictSome(cache.root, digest, (at) => at === span);
      else if (kind === "flush") await layer.flush();
      else if (kind === "cut") {
        truncateSync(layer.paths.data, layer.geometry.uncompressedStart(span));
        isCut = true;
      } else {
        await layer[Symbol.asyncDispose]();
        await cache[Symbol.asyncDispose]();
        if (kind === "boot") await removeLive(root);
        if (kind === "lose map") rmSync(layer.paths.map);
        cache = await LayerCache.open({ root, sharedMemory: root, log: NO_LOG });
        layer = await opened(cache, digest);
      }
    }
    await layer[Symbol.asyncDispose]();
    await cache[Symbol.asyncDispose]();
  },
);

function checkSpan(layer: CachedLayer, span: number, mayBeDamaged: boolean): void {
  const start = layer.geometry.uncompressedStart(span);
  const end = layer.geometry.uncompressedEnd(span);
  const bytes = new Uint8Array(end - start);
  const count = new LayerReader(layer.files).read(start, end, bytes, 0);
  if (count === DAMAGED) {
    expect(mayBeDamaged).toBe(true);
    expect(layer.damage(span)).toBe(true);
    expect(layer.isPresent(span)).toBe(false);
  } else if (count === MISS) {
    expect(layer.isPresent(span)).toBe(false);
  } else {
    expect(Buffer.compare(bytes, tar.subarray(start, end))).toBe(0);
  }
}

async function removeLive(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (name.startsWith("sociable-")) rmSync(`${root}/${name}`, { recursive: true });
  }
}
