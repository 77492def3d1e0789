import { describe, expect, test } from "bun:test";
import { type MemorySpan, MemorySpans } from "../../src/fetch/memory-spans.ts";

/** A span of `length` bytes at 1000 times its number, filled with it. */
function spanOf(span: number, length = 100, layer = 0): MemorySpan {
  return { layer, span, start: span * 1000, bytes: new Uint8Array(length).fill(span) };
}

describe("MemorySpans", () => {
  test("forgets the span that was not used for longest when there is too much", () => {
    const spans = new MemorySpans({ maxBytes: 250 });
    spans.put(spanOf(1));
    spans.put(spanOf(2));
    expect(spans.get(0, 1, 1010, 1020)).toEqual(new Uint8Array(10).fill(1));
    spans.put(spanOf(1, 100, 1));
    expect([spans.has(0, 1), spans.has(0, 2), spans.has(1, 1)]).toEqual([true, false, true]);
    expect(spans.bytes).toBe(200);
  });

  test("keeps a span that is larger than its bound until the next comes", () => {
    const spans = new MemorySpans({ maxBytes: 50 });
    spans.put(spanOf(1));
    expect(spans.has(0, 1)).toBe(true);
    spans.put(spanOf(2, 10));
    expect([spans.has(0, 1), spans.has(0, 2)]).toEqual([false, true]);
  });

  test("counts a span that is put again once", () => {
    const spans = new MemorySpans({ maxBytes: 250 });
    spans.put(spanOf(1));
    spans.put(spanOf(1, 60));
    expect(spans.bytes).toBe(60);
    spans.delete(0, 1);
    spans.delete(0, 1);
    expect(spans.bytes).toBe(0);
    expect(spans.get(0, 1, 1000, 1001)).toBeUndefined();
  });

  test("keeps what is held when its span goes, and no more of it", () => {
    const spans = new MemorySpans({ maxBytes: 100 });
    spans.put(spanOf(1));
    const held = spans.hold(0, 1, 1010, 1020);
    spans.put(spanOf(2));
    expect(spans.has(0, 1)).toBe(false);
    expect(spans.get(0, 1, 1012, 1020)).toEqual(new Uint8Array(8).fill(1));
    expect(spans.get(0, 1, 1012, 1021)).toBeUndefined();
    held?.[Symbol.dispose]();
    expect(spans.get(0, 1, 1012, 1020)).toBeUndefined();
    expect(spans.hold(0, 1, 1010, 1020)).toBeUndefined();
  });
});
