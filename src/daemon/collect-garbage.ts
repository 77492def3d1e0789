import { basename } from "node:path";
import type { LayerCache } from "../cache/layer-cache.ts";
import { mapTable } from "../cache/table-file.ts";
import { isKind } from "../errors.ts";
import { hexOf, type Digest } from "../oci/digest.ts";
import { ChainTable } from "../tree/chain-table.ts";

export interface GarbageOptions {
  readonly cache: LayerCache;
  /** Layers that snapshots hold, and the images they came with. */
  readonly layers: ReadonlySet<Digest>;
  readonly manifests: ReadonlySet<Digest>;
}

/**
 * Removes what was made for snapshots that are gone: merged trees and remembered manifests. Layers
 * stay in the cache for the next pull, under its cap. Resolves to how many files went.
 */
export async function collectGarbage({
  cache,
  layers,
  manifests,
}: GarbageOptions): Promise<number> {
  const known = new Set(Array.from(manifests, (digest) => `manifest-${hexOf(digest)}`));
  return await cache.removeIdleTrees((path) => {
    const name = basename(path);
    if (name.startsWith("manifest-")) return known.has(name);
    return isHeld(path, layers);
  });
}

/** Whether all layers of a tree are held: then a snapshot may be about to need it. */
function isHeld(path: string, layers: ReadonlySet<string>): boolean {
  try {
    return ChainTable.open(mapTable(path, { verify: false })).layers.every((digest) =>
      layers.has(digest),
    );
  } catch (error) {
    if (isKind(error, "data-loss", "not-found")) return false;
    throw error;
  }
}
