import { describe, expect, test } from "bun:test";
import { decodePrefetch, spansToPrefetch } from "../../src/soci/prefetch.ts";

function bytesOf(document: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(document));
}

function artifact(...spans: readonly (readonly [number, number])[]): Uint8Array {
  return bytesOf({
    version: "1.0",
    prefetch_spans: spans.map(([start_span, end_span]) => ({ start_span, end_span })),
  });
}

describe("decodePrefetch()", () => {
  test("reads ranges in their order, and priorities where there are some", () => {
    const text =
      '{"version":"1.0","prefetch_spans":[{"start_span":4,"end_span":6},{"start_span":0,"end_span":3,"priority":1}]}';
    expect(decodePrefetch(new TextEncoder().encode(text))).toEqual({
      version: "1.0",
      ranges: [
        { startSpan: 4, endSpan: 6, priority: 0 },
        { startSpan: 0, endSpan: 3, priority: 1 },
      ],
    });
  });

  test.each([
    { title: "another version", document: { version: "2.0", prefetch_spans: [] } },
    { title: "a version without a number", document: { version: "", prefetch_spans: [] } },
  ])("refuses $title as unsupported", ({ document }) => {
    expect(() => decodePrefetch(bytesOf(document))).toThrow(
      expect.objectContaining({ kind: "unsupported" }),
    );
  });

  test.each([
    { title: "no version", document: { prefetch_spans: [{ start_span: 0, end_span: 1 }] } },
    { title: "no list", document: { version: "1.0" } },
    { title: "an empty list", document: { version: "1.0", prefetch_spans: [] } },
    { title: "null for a list", document: { version: "1.0", prefetch_spans: null } },
    { title: "an object for a list", document: { version: "1.0", prefetch_spans: {} } },
    { title: "a number for a range", document: { version: "1.0", prefetch_spans: [1] } },
    { title: "no start", document: { version: "1.0", prefetch_spans: [{ end_span: 1 }] } },
    { title: "no end", document: { version: "1.0", prefetch_spans: [{ start_span: 1 }] } },
    { title: "an end before the start", document: JSON.parse(textOf(artifact([2, 1]))) },
    { title: "a negative start", document: JSON.parse(textOf(artifact([-1, 1]))) },
    { title: "half a span", document: JSON.parse(textOf(artifact([0, 1.5]))) },
    { title: "a span past 2^53", document: JSON.parse(textOf(artifact([0, 2 ** 53]))) },
    { title: "an array", document: [] },
  ])("refuses $title", ({ document }) => {
    expect(() => decodePrefetch(bytesOf(document), "this one")).toThrow(
      expect.objectContaining({
        kind: "data-loss",
        message: expect.stringContaining("this one"),
      }),
    );
  });

  test("refuses an artifact that is cut off anywhere", () => {
    const bytes = artifact([0, 3], [5, 6]);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodePrefetch(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ kind: "data-loss" }),
      );
    }
  });

  test("refuses more ranges than a layer has use for", () => {
    const many = Array.from({ length: (1 << 16) + 1 }, () => [0, 0] as const);
    expect(() => decodePrefetch(artifact(...many))).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  });
});

describe("spansToPrefetch()", () => {
  const rows: readonly { title: string; spans: number[][]; want: number[][] }[] = [
    {
      title: "keeps what lies apart, in order",
      spans: [
        [5, 6],
        [0, 2],
      ],
      want: [
        [0, 3],
        [5, 7],
      ],
    },
    {
      title: "joins what overlaps",
      spans: [
        [0, 4],
        [2, 3],
        [3, 6],
      ],
      want: [[0, 7]],
    },
    {
      title: "joins neighbours",
      spans: [
        [0, 2],
        [3, 5],
      ],
      want: [[0, 6]],
    },
    { title: "cuts at the layer's end", spans: [[8, 2 ** 53 - 1]], want: [[8, 10]] },
    {
      title: "leaves out what lies behind it",
      spans: [
        [1, 1],
        [10, 12],
      ],
      want: [[1, 2]],
    },
  ];
  test.each(rows)("$title", ({ spans, want }) => {
    const ranges = spans.map(([start = 0, end = 0]) => [start, end] as const);
    const got = spansToPrefetch(decodePrefetch(artifact(...ranges)), 10);
    expect(got.map(({ start, end }) => [start, end])).toEqual(want);
  });
});

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
