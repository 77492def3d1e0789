import { expect } from "bun:test";
import fc from "fast-check";
import { decodePrefetch, spansToPrefetch } from "../../src/soci/prefetch.ts";
import { fuzz } from "./fuzz.ts";
import { mutationsOf } from "./mutations.ts";
import { acceptedBy, outcomeOf } from "./outcome.ts";

const SEEDS = [
  { version: "1.0", prefetch_spans: [{ start_span: 0, end_span: 3, priority: 1 }] },
  {
    version: "1.0",
    prefetch_spans: [
      { start_span: 7, end_span: 7 },
      { start_span: 2, end_span: 40 },
    ],
  },
].map((document) => new TextEncoder().encode(JSON.stringify(document)));

const REFUSALS = ["data-loss", "unsupported"] as const;

fuzz(
  "decodePrefetch() reads or refuses any bytes",
  { runs: 3000 },
  fc.record({ bytes: mutationsOf(SEEDS), spanCount: fc.nat(60) }),
  ({ bytes, spanCount }) => {
    const artifact = acceptedBy(outcomeOf(() => decodePrefetch(bytes), REFUSALS));
    if (artifact === undefined) return;
    for (const { startSpan, endSpan } of artifact.ranges) {
      expect(startSpan >= 0 && startSpan <= endSpan && Number.isSafeInteger(endSpan)).toBe(true);
    }
    let last = -1;
    for (const { start, end } of spansToPrefetch(artifact, spanCount)) {
      expect(start > last && start < end && end <= spanCount).toBe(true);
      last = end;
    }
  },
);

const range = fc
  .tuple(fc.nat(80), fc.nat(20))
  .map(([start, more]) => ({ start_span: start, end_span: start + more }));

fuzz(
  "spansToPrefetch() gives just the spans that the artifact names and the layer has",
  { runs: 500 },
  fc.record({ ranges: fc.array(range, { minLength: 1, maxLength: 12 }), spanCount: fc.nat(90) }),
  ({ ranges, spanCount }) => {
    const document = JSON.stringify({ version: "1.0", prefetch_spans: ranges });
    const artifact = decodePrefetch(new TextEncoder().encode(document));
    const want = new Set<number>();
    for (const { start_span, end_span } of ranges) {
      for (let span = start_span; span <= end_span && span < spanCount; span++) want.add(span);
    }
    const got: number[] = [];
    for (const { start, end } of spansToPrefetch(artifact, spanCount)) {
      for (let span = start; span < end; span++) got.push(span);
    }
    expect(got).toEqual([...want].sort((a, b) => a - b));
  },
);
