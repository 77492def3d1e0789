import { gzipSync } from "node:zlib";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import type { CompressionAlgorithm, Ztoc } from "../../src/ztoc/ztoc.ts";
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import type { LayerCache } from "../../src/cache/layer-cache.ts";
import { geometryOf, wholeGeometry } from "../../src/cache/encode-geometry.ts";
import type { LayerParts } from "../../src/cache/layer-draft.ts";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import { SpanWriter } from "../../src/cache/span-writer.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { concat, END, entry } from "../tar/tar-blocks.ts";
import { buildBytes } from "../ztoc/build.ts";

/** A layer as the cache sees it. */
export interface LayerSample {
  readonly digest: Digest;
  readonly tar: Uint8Array;
  readonly parts: LayerParts;
  readonly ztoc: Ztoc;
}

export interface SampleOptions {
  readonly size?: number;
  readonly spanSize?: number;
  readonly algorithm?: CompressionAlgorithm;
  readonly seed?: number;
}

/** A tar of one file, in spans. */
export function layerSample({
  size = 600_000,
  spanSize = 50_000,
  algorithm = "gzip",
  seed = 1,
}: SampleOptions = {}): LayerSample {
  const tar = concat([entry({ name: "a" }, sampleBytes(size, seed)), END]);
  const blob = algorithm === "gzip" ? gzipSync(tar, { memLevel: 1 }) : tar;
  const ztoc = decodeZtoc(buildBytes(blob, { engine: new WasmEngine(), spanSize, algorithm }));
  return {
    digest: digestOf(blob),
    tar,
    ztoc,
    parts: { ...TABLES, geometry: [...geometryOf(ztoc)] },
  };
}

/** The same without spans of its own. */
export function wholeSample(size: number, seed = 1): Omit<LayerSample, "ztoc"> {
  const tar = sampleBytes(size, seed);
  const geometry = [...wholeGeometry({ compressedSize: 10, uncompressedSize: size })];
  return { digest: digestOf(tar), tar, parts: { ...TABLES, geometry } };
}

const TABLES = { entries: Buffer.from("entries"), inodes: Buffer.from("inodes") };

/** Writes a span in chunks; whether it was there already. */
export function fill(layer: CachedLayer, span: number, tar: Uint8Array, chunk = 10_000): boolean {
  using claim = claimOf(layer, span);
  if (claim === undefined) return false;
  writeSpan(layer, span, tar, chunk);
  claim.markPresent();
  return true;
}

export function claimOf(layer: CachedLayer, span: number) {
  const claim = layer.claim(span);
  if (claim === "busy") throw new Error(`span ${span} is busy`);
  return claim === "present" ? undefined : claim;
}

export function writeSpan(layer: CachedLayer, span: number, tar: Uint8Array, chunk = 10_000): void {
  const writer = new SpanWriter(layer.files, span);
  const end = layer.geometry.uncompressedEnd(span);
  for (let at = layer.geometry.uncompressedStart(span); at < end; at += chunk) {
    if (!writer.write(tar.subarray(at, Math.min(end, at + chunk)))) throw new Error("disk full");
  }
}

export function fillAll(layer: CachedLayer, tar: Uint8Array): void {
  for (let span = 0; span < layer.geometry.spanCount; span++) fill(layer, span, tar);
}

/** A layer that is in the cache. */
export async function opened(cache: LayerCache, digest: Digest): Promise<CachedLayer> {
  const layer = await cache.openLayer(digest);
  if (layer === undefined) throw new Error(`layer ${digest} is not in the cache`);
  return layer;
}
