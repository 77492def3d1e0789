import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  CompressedBody,
  type CompressedSpan,
  releaseSpan,
} from "../../src/fetch/compressed-body.ts";
import { CHUNK_BYTES, SharedChunks } from "../../src/fetch/shared-chunks.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

const bytes = sampleBytes(3 * CHUNK_BYTES + 1000);

function contentOf({ chunks, start, length }: CompressedSpan): Buffer {
  const all = Buffer.concat(chunks.map((chunk) => chunk.bytes));
  return all.subarray(start, start + length);
}

describe("CompressedBody", () => {
  test("cuts what has come, wherever the pieces and the spans end", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 12 }),
        (pieceEnds, spanEnds) => {
          const pool = new SharedChunks();
          const body = new CompressedBody(pool, 5000);
          let from = 0;
          for (const to of [...pieceEnds.toSorted((a, b) => a - b), bytes.length]) {
            body.append(bytes.subarray(from, to));
            from = to;
          }
          const spans: CompressedSpan[] = [];
          let start = 0;
          for (const end of [...spanEnds.toSorted((a, b) => a - b), bytes.length]) {
            // Neighbours share a byte.
            const at = Math.max(0, start - 1);
            body.forget(5000 + at);
            const span = body.cut(5000 + at, 5000 + end);
            expect(contentOf(span).equals(bytes.subarray(at, end))).toBe(true);
            spans.push(span);
            start = end;
          }
          body[Symbol.dispose]();
          for (const span of spans) releaseSpan(pool, span);
          // All is free again: nothing new is needed for as much.
          const held = pool.heldBytes;
          for (let i = 0; i < held / CHUNK_BYTES; i++) pool.take();
          expect(pool.heldBytes).toBe(held);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("keeps a span's bytes after its own end", () => {
    const pool = new SharedChunks();
    const body = new CompressedBody(pool, 0);
    body.append(bytes);
    const span = body.cut(10, 2 * CHUNK_BYTES);
    body[Symbol.dispose]();
    const other = new CompressedBody(pool, 0);
    other.append(new Uint8Array(bytes.length));
    expect(contentOf(span).equals(bytes.subarray(10, 2 * CHUNK_BYTES))).toBe(true);
  });

  test("refuses to cut what has not come, or is forgotten", () => {
    const body = new CompressedBody(new SharedChunks(), 100);
    body.append(bytes);
    expect(() => body.cut(100, 101 + bytes.length)).toThrow("are not in");
    body.forget(100 + CHUNK_BYTES);
    expect(() => body.cut(100, 200)).toThrow("are not in");
  });
});

describe("SharedChunks", () => {
  test("uses the chunk again that was given back last, when all have", () => {
    const pool = new SharedChunks();
    const chunk = pool.take();
    pool.share(chunk);
    pool.release(chunk);
    expect(pool.take()).not.toBe(chunk);
    pool.release(chunk);
    expect(pool.take()).toBe(chunk);
  });

  test("drops what has lain idle since the trim before", () => {
    const pool = new SharedChunks();
    const chunks = [pool.take(), pool.take(), pool.take()];
    for (const chunk of chunks) pool.release(chunk);
    expect(pool.trim()).toEqual([]);
    const used = pool.take();
    pool.release(used);
    expect(pool.trim()).toHaveLength(2);
    expect(pool.heldBytes).toBe(CHUNK_BYTES);
    expect(pool.take()).toBe(used);
  });
});
