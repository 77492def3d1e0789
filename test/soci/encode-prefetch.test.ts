import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { digestOf } from "../../src/oci/digest.ts";
import { encodePrefetch, normalizeRanges } from "../../src/soci/encode-prefetch.ts";
import { decodePrefetch, spansToPrefetch } from "../../src/soci/prefetch.ts";

const range = (startSpan: number, endSpan: number) => ({ startSpan, endSpan });

describe("encodePrefetch()", () => {
  test.each([
    {
      title: "one range",
      ranges: [range(0, 36)],
      digest: "sha256:8f30ba52ed17c4c3e6723946d9bd78e2d0584bab3594ad2a916c9aef09ea15ab",
    },
    {
      title: "two ranges, in whatever order",
      ranges: [range(83, 83), range(0, 36)],
      digest: "sha256:58e4fb5bb1302a7445d30aed5a70b2427e3760e9de9ade8e8f3e26144da81287",
    },
    {
      title: "ranges that are the same span",
      ranges: [range(0, 0), range(0, 0)],
      digest: "sha256:520900f4a24d9f67823edbe61838eec1b7bd8c64667f0a577a264715d4e9a37b",
    },
  ])("writes the Go tool's bytes of $title", ({ ranges, digest }) => {
    expect(digestOf(encodePrefetch(ranges))).toBe(digest as ReturnType<typeof digestOf>);
  });

  test("writes what decodePrefetch() reads: the same spans, each once", () => {
    const ranges = fc.array(
      fc.tuple(fc.nat(200), fc.nat(20)).map(([start, more]) => range(start, start + more)),
      { minLength: 1, maxLength: 50 },
    );
    fc.assert(
      fc.property(ranges, (given) => {
        const decoded = decodePrefetch(encodePrefetch(given));
        const spans = new Set(
          given.flatMap(({ startSpan, endSpan }) =>
            Array.from({ length: endSpan - startSpan + 1 }, (_, index) => startSpan + index),
          ),
        );
        const total = spansToPrefetch(decoded, 1000).reduce(
          (sum, one) => sum + one.end - one.start,
          0,
        );
        expect(total).toBe(spans.size);
        for (const [index, { startSpan }] of decoded.ranges.entries()) {
          const before = decoded.ranges[index - 1];
          if (before !== undefined) expect(startSpan).toBeGreaterThan(before.endSpan + 1);
        }
      }),
    );
  });
});

test("normalizeRanges() joins neighbours and ranges inside others", () => {
  expect(normalizeRanges([range(5, 5), range(0, 9), range(10, 11), range(13, 13)])).toEqual([
    range(0, 11),
    range(13, 13),
  ]);
});
