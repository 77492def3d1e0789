import type { LayerFiles } from "../cache/layer-files.ts";
import type { LayerState } from "../lazyfs/state-files.ts";

/** How much of a layer is in the cache, by the spans that are. */
export function layerStateOf({ digest, geometry, live }: LayerFiles): LayerState {
  let fetchedSize = 0;
  let end = 0;
  for (let span = 0; span < geometry.spanCount; span++) {
    if (!live.isPresent(span) && geometry.uncompressedLength(span) > 0) continue;
    // A byte that two spans share is counted once, and what is before the first with it.
    const start = span === 0 ? 0 : Math.max(end, geometry.compressedStart(span));
    end = Math.max(start, geometry.compressedEnd(span));
    fetchedSize += end - start;
  }
  const size = geometry.compressedSize;
  return { digest, size, fetchedSize: Math.min(fetchedSize, size) };
}
