import type { SpanId } from "../ztoc/zinfo.ts";
import type { Ztoc } from "../ztoc/ztoc.ts";

/** Neighbouring wanted spans are fetched together up to this size. */
export const MAX_FETCH_BYTES = 8 << 20;

/** Uncompressed bytes [start, end) wanted from a layer. */
export interface LayerRange {
  /** Number of the layer in its image, from 0. */
  readonly layer: number;
  readonly start: number;
  readonly end: number;
}

/** One request: consecutive spans of one layer, and the compressed bytes that hold them. */
export interface PlannedFetch {
  readonly layer: number;
  readonly firstSpan: SpanId;
  readonly lastSpan: SpanId;
  readonly compressedStart: number;
  readonly compressedEnd: number;
}

/** The spans that hold a range of a layer's uncompressed bytes, first and last; undefined for no bytes. */
export function spansOf(ztoc: Ztoc, start: number, end: number): [SpanId, SpanId] | undefined {
  if (end <= start) return undefined;
  return [ztoc.zinfo.spanOf(start), ztoc.zinfo.spanOf(end - 1)];
}

/**
 * The requests that bring every span of `ranges` once, in the order in which reading the ranges one
 * after another first needs them. Spans that follow each other are joined.
 */
export function planFetches(
  ranges: readonly LayerRange[],
  ztocOf: (layer: number) => Ztoc,
  maxFetchBytes = MAX_FETCH_BYTES,
): PlannedFetch[] {
  const planned = new Set<string>();
  const fetches: PlannedFetch[] = [];
  for (const { layer, start, end } of ranges) {
    if (end <= start) continue;
    const ztoc = ztocOf(layer);
    const [first, last] = spansOf(ztoc, start, end) ?? [0, -1];
    for (let span = first; span <= last; span++) {
      const key = `${layer}:${span}`;
      if (planned.has(key)) continue;
      planned.add(key);
      const { compressedStart, compressedEnd } = ztoc.zinfo.rangeOf(span, ztoc);
      const before = fetches.at(-1);
      if (
        before?.layer === layer &&
        before.lastSpan === span - 1 &&
        compressedEnd - before.compressedStart <= maxFetchBytes
      ) {
        fetches[fetches.length - 1] = { ...before, lastSpan: span, compressedEnd };
      } else {
        fetches.push({ layer, firstSpan: span, lastSpan: span, compressedStart, compressedEnd });
      }
    }
  }
  return fetches;
}
