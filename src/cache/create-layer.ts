import { systemFailure } from "./system-failure.ts";
import { type LayerKey, layerOfKey } from "./layer-key.ts";
import { LayerDraft, type LayerParts } from "./layer-draft.ts";

/**
 * Makes a layer of which no data is there yet, in any thread: LayerCache.openLayer() finds it then.
 * "exists": it was there already. @throws data-loss when its geometry cannot be used
 */
export async function createLayer(
  cacheRoot: string,
  key: LayerKey,
  parts: LayerParts,
): Promise<"created" | "exists"> {
  try {
    await using draft = await LayerDraft.create(cacheRoot, key);
    return await draft.commit(parts);
  } catch (error) {
    throw systemFailure(`make layer ${layerOfKey(key)} in the cache`, error);
  }
}
