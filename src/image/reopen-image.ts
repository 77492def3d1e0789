import { join } from "node:path";
import { treesDirectory } from "../cache/cache-paths.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import type { LayerKey } from "../cache/layer-key.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { PreparedImage, PreparedLayer } from "./prepared-image.ts";

/** What can be mounted: all layers in the cache, and their merged tree on disk. */
export interface MountableImage extends AsyncDisposable {
  /** Bottom first. */
  readonly layers: readonly Pick<PreparedLayer, "descriptor" | "layer">[];
  readonly treeKey: PreparedImage["treeKey"];
  readonly treePath: PreparedImage["treePath"];
}

export interface LayerToReopen extends Descriptor {
  readonly cacheKey: LayerKey;
}

export interface ReopenImageOptions {
  readonly cache: LayerCache;
  /** Bottom first. */
  readonly layers: readonly LayerToReopen[];
  readonly treeKey: string;
}

/** An image that was prepared before, out of the cache alone. @throws not-found when a layer is gone */
export async function reopenImage({
  cache,
  layers: wanted,
  treeKey,
}: ReopenImageOptions): Promise<MountableImage> {
  await using leases = new AsyncDisposableStack();
  const opened = new Map<string, PreparedLayer["layer"]>();
  const layers: Pick<PreparedLayer, "descriptor" | "layer">[] = [];
  for (const { cacheKey, ...descriptor } of wanted) {
    let layer = opened.get(cacheKey);
    if (layer === undefined) {
      layer = await cache.openLayer(cacheKey);
      if (layer === undefined) {
        throw new SociError(
          "not-found",
          `Cannot open layer ${descriptor.digest}: it is not in the cache any more`,
        );
      }
      leases.use(layer);
      opened.set(cacheKey, layer);
    }
    layers.push({ descriptor, layer });
  }
  const held = leases.move();
  return {
    layers,
    treeKey,
    treePath: join(treesDirectory(cache.root), treeKey),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
