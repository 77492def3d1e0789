import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { geometryOf, wholeGeometry } from "../../src/cache/encode-geometry.ts";
import { LayerDraft } from "../../src/cache/layer-draft.ts";
import { LayerReader } from "../../src/cache/layer-reader.ts";
import { LayerRefill } from "../../src/cache/layer-refill.ts";
import { tempDir } from "../support/temp-dir.ts";
import { fill, layerSample, opened, wholeSample } from "./samples.ts";
import { evictSome, openStrictCache } from "./shared-layer.ts";

const { digest, parts, tar, ztoc } = layerSample();
const TABLES = { entries: Buffer.from("e"), inodes: Buffer.from("i") };

function* chunksOf(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Appends with a cut at each of these places. */
function appendCut(draft: LayerDraft, cuts: readonly number[]): void {
  for (const [i, cut] of cuts.entries()) {
    draft.cut();
    for (const chunk of chunksOf(tar.subarray(cut, cuts[i + 1] ?? tar.length), 9999)) {
      draft.append(chunk);
    }
  }
}

const STARTS = Array.from(
  { length: ztoc.maxSpanId + 1 },
  (_, span) => ztoc.zinfo.rangeOf(span, ztoc).uncompressedStart,
);

test.each([
  { title: "cut at its spans", cuts: STARTS },
  { title: "not cut", cuts: [0] },
  {
    title: "cut at some of its spans and elsewhere",
    cuts: [0, 777, ...STARTS.slice(3, 6), 400_001],
  },
  { title: "cut twice at one place", cuts: [0, 0, ...STARTS.slice(1)] },
])("LayerDraft makes a layer that is whole: $title", async ({ cuts }) => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  {
    await using draft = await LayerDraft.create(cache.root, digest);
    appendCut(draft, cuts);
    expect(draft.size).toBe(tar.length);
    expect(await draft.commit({ ...TABLES, geometry: geometryOf(ztoc) })).toBe("created");
  }
  await using layer = await opened(cache, digest);
  expect(layer.isComplete).toBe(true);
  const bytes = new Uint8Array(tar.length);
  expect(new LayerReader(layer.files).read(0, tar.length, bytes, 0)).toBe(tar.length);
  expect(Buffer.compare(bytes, tar)).toBe(0);
});

test("LayerDraft drops what was appended behind the end of the data", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  const size = 5_000_000;
  const whole = wholeSample(size);
  {
    await using draft = await LayerDraft.create(cache.root, whole.digest);
    for (const chunk of chunksOf(whole.tar, 70_000)) draft.append(chunk);
    draft.append(new Uint8Array(9000).fill(7));
    const geometry = wholeGeometry({ compressedSize: 9, uncompressedSize: size });
    await draft.commit({ ...TABLES, geometry });
  }
  await using layer = await opened(cache, whole.digest);
  const bytes = new Uint8Array(size);
  expect(new LayerReader(layer.files).read(0, size, bytes, 0)).toBe(size);
  expect(Buffer.compare(bytes, whole.tar)).toBe(0);
});

test("LayerDraft refuses to be committed with too few bytes, and leaves nothing behind", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  {
    await using draft = await LayerDraft.create(cache.root, digest);
    draft.append(tar.subarray(1));
    await expect(draft.commit(parts)).rejects.toMatchObject({ kind: "data-loss" });
  }
  expect(await readdir(dir.join("cache/ingest"))).toEqual([]);
  expect(await readdir(dir.join("cache/sha256"))).toEqual([]);
});

test("LayerDraft gives way to a layer that another has made meanwhile", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  fill(layer, 1, tar);
  {
    await using draft = await LayerDraft.create(cache.root, digest);
    expect(await draft.commit(parts)).toBe("exists");
  }
  await using again = await cache.createLayer(digest, parts);
  expect(again.isPresent(1)).toBe(true);
  expect(await readdir(dir.join("cache/ingest"))).toEqual([]);
});

test("LayerRefill fills what is missing once it is committed and marked", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  fill(layer, 1, tar);
  fill(layer, 5, tar);
  expect(await evictSome(cache.root, digest, (span) => span === 5)).toBe(1);
  const claim = layer.claimAll();
  if (typeof claim === "string") throw new Error(claim);
  const refill = new LayerRefill(layer.files);
  for (const chunk of chunksOf(tar, 33_333)) expect(refill.append(chunk)).toBe(true);
  expect(refill.append(new Uint8Array(10_000))).toBe(true);
  expect(layer.isPresent(0)).toBe(false);
  refill.commit();
  claim.markPresent();
  const bytes = new Uint8Array(tar.length);
  expect(new LayerReader(layer.files).read(0, tar.length, bytes, 0)).toBe(tar.length);
  expect(Buffer.compare(bytes, tar)).toBe(0);
});

test("LayerRefill of wrong bytes harms nothing that is present", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  fill(layer, 1, tar);
  {
    const claim = layer.claimAll();
    if (typeof claim === "string") throw new Error(claim);
    using _held = claim;
    const refill = new LayerRefill(layer.files);
    refill.append(new Uint8Array(tar.length - 1));
    expect(() => refill.commit()).toThrow(expect.objectContaining({ kind: "data-loss" }));
  }
  const start = layer.geometry.uncompressedStart(1);
  const bytes = new Uint8Array(1000);
  expect(new LayerReader(layer.files).read(start, start + 1000, bytes, 0)).toBe(1000);
  expect(Buffer.compare(bytes, tar.subarray(start, start + 1000))).toBe(0);
  expect(layer.isPresent(0)).toBe(false);
});
