import type { CachedLayer } from "../cache/cached-layer.ts";

/** Compressed bytes of the spans that are here, and of all. */
export function localBytesOf(layer: CachedLayer): {
  readonly localBytes: number;
  readonly totalBytes: number;
} {
  const { geometry } = layer;
  let localBytes = 0;
  for (let span = 0; span < geometry.spanCount; span++) {
    if (layer.isPresent(span)) {
      localBytes += geometry.compressedEnd(span) - geometry.compressedStart(span);
    }
  }
  // Neighbours that meet within a byte both have it; a gzip header is nobody's.
  const totalBytes = geometry.compressedSize;
  return {
    localBytes: layer.isComplete ? totalBytes : Math.min(localBytes, totalBytes),
    totalBytes,
  };
}
