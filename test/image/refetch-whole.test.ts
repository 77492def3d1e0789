import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { localIngester } from "../support/local-ingester.ts";
import { refetchWhole } from "../../src/image/refetch-whole.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { rejectionOf } from "../support/failure.ts";
import { buildTar, imageOf, layerOf } from "../support/image-builder.ts";
import { tempDir } from "../support/temp-dir.ts";
import { placeImage } from "./opened-image.ts";
import { type Prepared, prepare } from "./prepared-image.ts";

const big = layerOf(await buildTar([{ name: "a", content: randomBytes(11 << 20) }]), "zstd");
const SPAN = 1;

/** An image of one layer that is only had whole, of which a span is lost. */
async function withLostSpan(root: string, name: string): Promise<Prepared> {
  const prepared = await prepare(root, name);
  const { layer } = only(prepared);
  const { words } = layer.files.live;
  expect(layer.files.live.empty(SPAN, words[SPAN] ?? 0)).toBe(true);
  expect(prepared.data(0)).toBeUndefined();
  return prepared;
}

function only({ layers }: Prepared) {
  const [layer] = layers;
  if (layer === undefined) throw new Error("no layer");
  return layer;
}

async function refetch(prepared: Prepared, name: string): Promise<void> {
  const { layer, descriptor } = only(prepared);
  const { cache } = prepared;
  await using source = await openImageSource(name);
  const engine = () => new WasmEngine();
  const ingest = localIngester({ cacheRoot: cache.root, engine });
  await refetchWhole(layer, { descriptor, source, cache, ingest, log: NO_LOG });
}

describe("refetchWhole()", () => {
  test("brings back what is missing", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([big]));
    await using prepared = await withLostSpan(root.path, placed.name);
    await refetch(prepared, placed.name);
    expect(prepared.data(0)?.equals(big.tar)).toBe(true);
    expect(only(prepared).layer.isComplete).toBe(true);
  });

  test("asks for nothing when nothing is missing", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([big]));
    await using prepared = await prepare(root.path, placed.name);
    placed.registry.clearRequests();
    await refetch(prepared, placed.name);
    expect(placed.registry.requests).toEqual([]);
  });

  test("leaves what is there alone, and what is missing missing, when the bytes are wrong", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([big]));
    await using prepared = await withLostSpan(root.path, placed.name);
    placed.registry.corruptNext(100, { at: 1000, path: new RegExp(big.descriptor.digest) });
    expect(await rejectionOf(refetch(prepared, placed.name))).toMatchObject({ kind: "data-loss" });
    const { layer } = only(prepared);
    expect(layer.isPresent(SPAN)).toBe(false);
    expect(layer.isPresent(0)).toBe(true);
  });

  test("reads once for several that want it", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([big]));
    await using prepared = await withLostSpan(root.path, placed.name);
    placed.registry.clearRequests();
    await Promise.all([refetch(prepared, placed.name), refetch(prepared, placed.name)]);
    const { digest } = big.descriptor;
    const asked = placed.registry.requests.filter(({ path }) => path.endsWith(digest));
    expect(asked).toHaveLength(1);
    expect(prepared.data(0)?.equals(big.tar)).toBe(true);
  });
});
