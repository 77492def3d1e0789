import { PREFETCH_VERSION, type PrefetchRange } from "./prefetch.ts";

/** Spans that a file lies in; both ends belong to it. */
export type SpansOfFile = Pick<PrefetchRange, "startSpan" | "endSpan">;

/** In order, overlapping ones and neighbours joined, as the Go tool stores them. */
export function normalizeRanges(ranges: readonly SpansOfFile[]): readonly SpansOfFile[] {
  const joined: { startSpan: number; endSpan: number }[] = [];
  for (const { startSpan, endSpan } of ranges.toSorted((a, b) => a.startSpan - b.startSpan)) {
    const last = joined.at(-1);
    if (last !== undefined && startSpan <= last.endSpan + 1) {
      last.endSpan = Math.max(last.endSpan, endSpan);
    } else {
      joined.push({ startSpan, endSpan });
    }
  }
  return joined;
}

/** The bytes of a prefetch artifact: the same as those of the Go tool for the same files. */
export function encodePrefetch(ranges: readonly SpansOfFile[]): Uint8Array {
  const spans = normalizeRanges(ranges).map(({ startSpan, endSpan }) => ({
    start_span: startSpan,
    end_span: endSpan,
  }));
  return new TextEncoder().encode(
    JSON.stringify({ version: PREFETCH_VERSION, prefetch_spans: spans }),
  );
}
