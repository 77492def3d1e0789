import type { LayerCache } from "../cache/layer-cache.ts";
import { DEMAND, type FetchPriority, priorityOf } from "./fetch-priority.ts";
import type { RangeFetch } from "./range-fetch.ts";
import type { SpanTask } from "./span-task.ts";

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

/** Room for each span of a request; returns the first that has none, of what nobody waits for. */
export async function reserveRoom(
  fetch: RangeFetch,
  reserve: Reserve,
): Promise<SpanTask | undefined> {
  const { urgency, layer } = fetch;
  try {
    for (const task of [...fetch.left]) {
      const bytes = layer.geometry.uncompressedLength(task.span);
      const room = await reserve(bytes, priorityOf(urgency));
      // A request may have let go of a task meanwhile.
      const isOurs = task.fetch === fetch || task.state === "filling";
      if (isOurs && task.room === undefined) task.room = room;
      else room?.[Symbol.dispose]();
      if (isOurs && room === undefined && urgency > DEMAND) return task;
    }
    return undefined;
  } finally {
    fetch.isRoomKnown = true;
  }
}
