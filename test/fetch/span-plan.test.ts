import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { planFetches, spansOf } from "../../src/fetch/span-plan.ts";
import { layerOf } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { buildTar } from "../support/image-builder.ts";

const tar = await buildTar([{ name: "a", content: sampleBytes(1_000_000) }]);
const { ztoc } = await ztocOf(layerOf(tar).bytes);
const ztocForAll = () => ztoc;
const spanCount = ztoc.zinfo.maxSpanId + 1;

describe("spansOf()", () => {
  test("names no span for no bytes", () => {
    expect(spansOf(ztoc, 5, 5)).toBeUndefined();
  });

  test("ends at the span of the last byte, not of the end", () => {
    const { uncompressedEnd } = ztoc.zinfo.rangeOf(0, ztoc);
    expect(spansOf(ztoc, 0, uncompressedEnd)).toEqual([0, 0]);
    expect(spansOf(ztoc, 0, uncompressedEnd + 1)).toEqual([0, 1]);
  });
});

describe("planFetches()", () => {
  test("joins spans that follow each other into one request", () => {
    expect(planFetches([{ layer: 0, start: 0, end: tar.length }], ztocForAll)).toMatchObject([
      { layer: 0, firstSpan: 0, lastSpan: spanCount - 1 },
    ]);
  });

  test("fetches a span that several ranges need once", () => {
    const ranges = [
      { layer: 0, start: 600, end: 700 },
      { layer: 0, start: 500, end: 1000 },
    ];
    expect(planFetches(ranges, ztocForAll)).toMatchObject([{ firstSpan: 0, lastSpan: 0 }]);
  });

  test("keeps the spans of different layers apart", () => {
    const ranges = [0, 1].map((layer) => ({ layer, start: 0, end: 1 }));
    expect(planFetches(ranges, ztocForAll).map(({ layer }) => layer)).toEqual([0, 1]);
  });

  test("plans nothing for an empty range", () => {
    expect(planFetches([{ layer: 0, start: 7, end: 7 }], ztocForAll)).toEqual([]);
  });

  test("begins a new request where one would be too large", () => {
    const plan = planFetches([{ layer: 0, start: 0, end: tar.length }], ztocForAll, 100_000);
    expect(plan.length).toBeGreaterThan(1);
  });

  test("makes a request for a single span however large it is", () => {
    const plan = planFetches([{ layer: 0, start: 0, end: tar.length }], ztocForAll, 1);
    expect(plan.length).toBe(spanCount);
  });

  test("brings every span of every range exactly once", () => {
    const range = fc
      .tuple(fc.nat(2), fc.nat(tar.length), fc.nat(tar.length))
      .map(([layer, a, b]) => ({ layer, start: Math.min(a, b), end: Math.max(a, b) }));
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 6 }),
        fc.integer({ min: 1, max: 2e6 }),
        (ranges, max) => {
          const wanted = new Set(
            ranges.flatMap(({ layer, start, end }) => {
              const [first, last] = spansOf(ztoc, start, end) ?? [0, -1];
              return Array.from({ length: last - first + 1 }, (_, i) => `${layer}:${first + i}`);
            }),
          );
          const planned = planFetches(ranges, ztocForAll, max).flatMap(
            ({ layer, firstSpan, lastSpan }) =>
              Array.from(
                { length: lastSpan - firstSpan + 1 },
                (_, i) => `${layer}:${firstSpan + i}`,
              ),
          );
          expect(planned.toSorted()).toEqual([...wanted].toSorted());
        },
      ),
    );
  });
});
