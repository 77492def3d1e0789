import { LayerCache } from "../../src/cache/layer-cache.ts";
import { layerDirectory, layerPaths } from "../../src/cache/cache-paths.ts";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import { LayerInUse } from "../../src/cache/layer-in-use.ts";
import { openLiveDirectory } from "../../src/cache/live-directory.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { lastUseTick } from "../../src/cache/live-map.ts";
import { createLogger } from "../../src/observability/log.ts";
import { writeSpan } from "./samples.ts";

/** A cache in a directory of a test, with its live maps there too; warnings fail whoever uses it. */
export async function openStrictCache(root: string, capBytes?: number): Promise<LayerCache> {
  const log = createLogger({
    level: "warn",
    sink: ({ message, fields }) => {
      if (message.startsWith("cache is too small")) return;
      throw new Error(`${message} ${JSON.stringify(fields)}`);
    },
  });
  return await LayerCache.open({ root, sharedMemory: root, capBytes, log });
}

/** Numbers that look like chance, the same for the same seed. */
export function chanceOf(seed: number): (limit: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % limit;
  };
}

/** Fills a span unless it is there, or somebody else is at it; whether it did. */
export function fillIfFree(layer: CachedLayer, span: number, tar: Uint8Array): boolean {
  const claim = layer.claim(span);
  if (typeof claim === "string") return false;
  using held = claim;
  writeSpan(layer, span, tar, 7000);
  held.markPresent();
  return true;
}

/** Evicts some spans as who needs room does. */
export async function evictSome(
  cacheRoot: string,
  digest: Digest,
  chosen: (span: number) => boolean,
): Promise<number> {
  const paths = layerPaths(layerDirectory(cacheRoot, digest));
  const liveDirectory = openLiveDirectory(cacheRoot, `${cacheRoot}/..`);
  using layer = LayerInUse.open({ key: digest, paths, liveDirectory });
  if (layer === undefined) throw new Error("the layer is not in use");
  const units = [...layer.units(lastUseTick())].filter(({ span }) => chosen(span));
  return (await layer.evict(units)).spans;
}
