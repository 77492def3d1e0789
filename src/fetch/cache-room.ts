import type { LayerCache } from "../cache/layer-cache.ts";
import type { FetchPriority } from "./fetch-priority.ts";

/** Room in the cache that was made for a span: kept with it, or given back. */
export interface CacheRoom extends Disposable {
  keep(): void;
}

/** Makes room for so many uncompressed bytes; undefined: there is none for this cause. */
export type Reserve = (bytes: number, cause: FetchPriority) => Promise<CacheRoom | undefined>;

/** Room in a layer cache. */
export function roomIn(cache: LayerCache): Reserve {
  return (bytes, cause) => cache.reserve(bytes, cause);
}
