import type { Extent } from "../tree/extent.ts";

/** Where the next data begins at or after `offset`; undefined when only a hole is left. Extents are in order. */
export function nextData(extents: readonly Extent[], offset: number): number | undefined {
  const next = extents.find((extent) => offset < extent.offset + extent.length);
  return next === undefined ? undefined : Math.max(offset, next.offset);
}

/** Where the next hole begins at or after `offset`: the end of the file counts as one. */
export function nextHole(
  extents: readonly Extent[],
  { offset, size }: { readonly offset: number; readonly size: number },
): number {
  let at = offset;
  for (const extent of extents) {
    if (at < extent.offset) return at;
    at = Math.max(at, extent.offset + extent.length);
  }
  return Math.min(at, size);
}
