import { describe, expect, test } from "bun:test";
import { MemorySpans } from "../../src/fetch/memory-spans.ts";

describe("MemorySpans", () => {
  test("forgets the span that was not used for longest when there is too much", () => {
    const spans = new MemorySpans({ maxBytes: 250 });
    spans.put(0, 1, new Uint8Array(100));
    spans.put(0, 2, new Uint8Array(100));
    expect(spans.get(0, 1)).toHaveLength(100);
    spans.put(1, 1, new Uint8Array(100));
    expect([spans.has(0, 1), spans.has(0, 2), spans.has(1, 1)]).toEqual([true, false, true]);
    expect(spans.bytes).toBe(200);
  });

  test("keeps a span that is larger than its bound until the next comes", () => {
    const spans = new MemorySpans({ maxBytes: 50 });
    spans.put(0, 1, new Uint8Array(100));
    expect(spans.has(0, 1)).toBe(true);
    spans.put(0, 2, new Uint8Array(10));
    expect([spans.has(0, 1), spans.has(0, 2)]).toEqual([false, true]);
  });

  test("counts a span that is put again once", () => {
    const spans = new MemorySpans({ maxBytes: 250 });
    spans.put(0, 1, new Uint8Array(100));
    spans.put(0, 1, new Uint8Array(60));
    expect(spans.bytes).toBe(60);
    spans.delete(0, 1);
    spans.delete(0, 1);
    expect(spans.bytes).toBe(0);
    expect(spans.get(0, 1)).toBeUndefined();
  });
});
