import { basename } from "node:path";
import type { LayerCache } from "../cache/layer-cache.ts";
import { mapTable } from "../cache/table-file.ts";
import { isKind } from "../errors.ts";
import { type Digest, hexOf } from "../oci/digest.ts";
import { ChainTable } from "../tree/chain-table.ts";

export interface GarbageOptions {
  readonly cache: LayerCache;
  /** Names in the cache of layers that snapshots hold, and the images they came with. */
  readonly layers: ReadonlySet<string>;
  readonly manifests: ReadonlySet<Digest>;
}

/** A manifest, or what is known of its zTOCs. */
const OF_MANIFEST = /^(?:manifest|ztocs)-([0-9a-f]{64})(?:-|$)/;

/**
 * Removes what was made for snapshots that are gone: merged trees and remembered manifests. Layers
 * stay in the cache for the next pull, under its cap. Resolves to how many files went.
 */
export async function collectGarbage({
  cache,
  layers,
  manifests,
}: GarbageOptions): Promise<number> {
  const known = new Set(Array.from(manifests, hexOf));
  return await cache.removeIdleTrees((path) => {
    const [, manifest] = OF_MANIFEST.exec(basename(path)) ?? [];
    if (manifest !== undefined) return known.has(manifest);
    return isHeld(path, layers);
  });
}

/** Whether all layers of a tree are held: then a snapshot may be about to need it. */
function isHeld(path: string, layers: ReadonlySet<string>): boolean {
  try {
    return ChainTable.open(mapTable(path, { verify: false })).layers.every((key) =>
      layers.has(key),
    );
  } catch (error) {
    if (isKind(error, "data-loss", "not-found")) return false;
    throw error;
  }
}
