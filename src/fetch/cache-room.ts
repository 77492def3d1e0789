import type { LayerCache } from "../cache/layer-cache.ts";
import type { FetchPriority } from "./fetch-priority.ts";

/** Makes room in the cache for so many uncompressed bytes; false: there is none for this cause. */
export type Reserve = (bytes: number, cause: FetchPriority) => Promise<boolean>;

/** Room in a layer cache. */
export function roomIn(_cache: LayerCache): Reserve {
  return async () => true;
}
