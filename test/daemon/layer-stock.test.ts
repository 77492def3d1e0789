import { expect, test } from "bun:test";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import type { LayerCache } from "../../src/cache/layer-cache.ts";
import { isLayerKey, keyByZtoc } from "../../src/cache/layer-key.ts";
import { LayerStock } from "../../src/daemon/layer-stock.ts";
import { SociError } from "../../src/errors.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { digestOf, parseDigest } from "../../src/oci/digest.ts";
import type { ServedLayer } from "../../src/snapshotter/layer-mounter.ts";
import { layerSample } from "../cache/samples.ts";
import { openStrictCache } from "../cache/shared-layer.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";

const { digest, parts } = layerSample();

const SERVED: ServedLayer = {
  digest,
  cacheKey: digest,
  size: 1,
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  namespace: "default",
  imageReference: "example.com/app:1",
  manifestDigest: parseDigest(`sha256:${"b".repeat(64)}`),
};

interface Counts {
  served: number;
  ended: number;
}

function stockOf(
  cache: LayerCache,
  counts: Counts,
  recover: (served: ServedLayer) => Promise<CachedLayer> = async () => {
    throw new SociError("unavailable", "registry is down");
  },
): LayerStock {
  return new LayerStock({
    cache,
    serve: async () => {
      counts.served++;
      return {
        number: 1,
        table: undefined as never,
        [Symbol.asyncDispose]: async () => void counts.ended++,
      } as never;
    },
    recover,
    log: NO_LOG,
  });
}

test("hold() opens a layer once for all who hold it, and the last release() closes it", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await (await cache.createLayer(digest, parts))[Symbol.asyncDispose]();
  const counts = { served: 0, ended: 0 };
  await using stock = stockOf(cache, counts);
  stock.hold("1", SERVED);
  stock.hold("2", SERVED);
  stock.hold("2", SERVED);
  expect((await stock.get(digest)).layer.digest).toBe(digest);
  expect(counts).toEqual({ served: 1, ended: 0 });
  stock.release("1");
  stock.release("1");
  await stock.settled();
  expect(counts.ended).toBe(0);
  expect(stock.holdersOf(digest)).toEqual(["2"]);
  stock.release("2");
  await stock.settled();
  expect(counts.ended).toBe(1);
  expect(stock.keys.size).toBe(0);
});

test("hold() takes a layer over, and closes it where it is open already", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  const first = await cache.createLayer(digest, parts);
  const second = await cache.openLayer(digest);
  const counts = { served: 0, ended: 0 };
  await using stock = stockOf(cache, counts);
  stock.hold("1", SERVED, first);
  stock.hold("2", SERVED, second);
  expect((await stock.get(digest)).layer).toBe(first);
  expect(counts.served).toBe(1);
});

test("get() recovers a layer that is gone from the cache, and tries again after a failure", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  let isUp = false;
  const counts = { served: 0, ended: 0 };
  await using stock = stockOf(cache, counts, async () => {
    if (!isUp) throw new SociError("unavailable", "registry is down");
    return await cache.createLayer(digest, parts);
  });
  stock.hold("1", SERVED);
  expect(await rejectionOf(stock.get(digest))).toMatchObject({
    kind: "unavailable",
    message: `layer "${digest}" unavailable`,
  });
  isUp = true;
  expect((await stock.get(digest)).layer.digest).toBe(digest);
});

test("a layer that is held again while it is closed is open afterwards", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await (await cache.createLayer(digest, parts))[Symbol.asyncDispose]();
  const counts = { served: 0, ended: 0 };
  await using stock = stockOf(cache, counts);
  stock.hold("1", SERVED);
  stock.release("1");
  stock.hold("2", SERVED);
  await stock.settled();
  expect((await stock.get(digest)).layer.isPresent(0)).toBe(false);
  expect(counts).toEqual({ served: 2, ended: 1 });
});

test("a layer that two zTOCs vouch for is two, each opened by its own name", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  const keys = ["one", "another"].map((name) => keyByZtoc(digest, digestOf(name)));
  for (const key of keys) await (await cache.createLayer(key, parts))[Symbol.asyncDispose]();
  const counts = { served: 0, ended: 0 };
  await using stock = stockOf(cache, counts);
  for (const [i, cacheKey] of keys.entries()) stock.hold(`${i}`, { ...SERVED, cacheKey });
  for (const key of keys) expect((await stock.get(key)).layer.key).toBe(key);
  expect(counts.served).toBe(2);
  expect(stock.keys).toEqual(new Set(keys));
  expect(stock.ofLayer(digest).map(({ cacheKey }) => cacheKey)).toEqual(keys);
  expect(stock.holdersOf(digest)).toEqual(["0", "1"]);
  stock.release("0");
  await stock.settled();
  expect(stock.keys).toEqual(new Set(keys.slice(1)));
});

test.each(["", "../../etc", keyByZtoc(digestOf("another layer"), digestOf("zTOC"))])(
  "a layer that is named %j in the cache is had again",
  async (cacheKey) => {
    await using dir = await tempDir();
    await using cache = await openStrictCache(dir.path);
    if (isLayerKey(cacheKey)) {
      await (await cache.createLayer(cacheKey, parts))[Symbol.asyncDispose]();
    }
    const counts = { served: 0, ended: 0 };
    await using stock = stockOf(cache, counts, () => cache.createLayer(digest, parts));
    stock.hold("1", { ...SERVED, cacheKey });
    expect((await stock.get(cacheKey)).layer.key).toBe(digest);
    expect(stock.cachedKeys).toEqual(new Set([cacheKey, digest]));
  },
);

/** The sample layer as another image has it. */
function asOf(imageReference: string): ServedLayer {
  return { ...SERVED, imageReference, manifestDigest: digestOf(imageReference) };
}

function namesOf(images: readonly ServedLayer[]): readonly string[] {
  return images.map(({ imageReference }) => imageReference);
}

test("a layer can be had of all images that hold it, and of those that stand on it", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  await (await cache.createLayer(digest, parts))[Symbol.asyncDispose]();
  const ofFirst = asOf("example.com/first:1");
  const ofSecond = asOf("example.com/second:1");
  const upper = { ...asOf("example.com/third:1"), digest: digestOf("upper") };
  const above = { ...upper, cacheKey: upper.digest };
  await using stock = stockOf(cache, { served: 0, ended: 0 });
  stock.hold("1", ofFirst);
  stock.hold("2", ofSecond);
  // A stack, from below.
  stock.hold("stack", ofFirst);
  stock.hold("stack", above);
  expect(namesOf(stock.imagesOf(digest))).toEqual([
    "example.com/first:1",
    "example.com/second:1",
    "example.com/third:1",
  ]);
  expect(stock.imagesOf(digest).every((one) => one.digest === digest)).toBe(true);
  expect(namesOf(stock.imagesOf(above.cacheKey))).toEqual(["example.com/third:1"]);
  expect(stock.manifests).toEqual(
    new Set([ofFirst.manifestDigest, ofSecond.manifestDigest, above.manifestDigest]),
  );
  stock.release("1");
  stock.release("stack");
  expect(namesOf(stock.imagesOf(digest))).toEqual(["example.com/second:1"]);
  expect(stock.manifests).toEqual(new Set([ofSecond.manifestDigest]));
  stock.release("2");
  expect(stock.imagesOf(digest)).toEqual([]);
});

test("get() recovers a layer by another image where that it came with cannot be had", async () => {
  await using dir = await tempDir();
  await using cache = await openStrictCache(dir.path);
  const asked: string[] = [];
  await using stock = stockOf(cache, { served: 0, ended: 0 }, async ({ imageReference }) => {
    asked.push(imageReference);
    if (imageReference === "example.com/first:1") {
      throw new SociError("unauthenticated", "no login any more");
    }
    return await cache.createLayer(digest, parts);
  });
  stock.hold("1", asOf("example.com/first:1"));
  stock.hold("2", asOf("example.com/second:1"));
  expect((await stock.get(digest)).layer.digest).toBe(digest);
  expect(asked).toEqual(["example.com/first:1", "example.com/second:1"]);
});
