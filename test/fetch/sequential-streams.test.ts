import { describe, expect, test } from "bun:test";
import { SequentialStreams } from "../../src/fetch/sequential-streams.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const SPAN = 4 * MiB;

function streams(maxAheadBytes = 64 * MiB): SequentialStreams {
  return new SequentialStreams({
    maxAheadBytes,
    spanOf: (offset) => Math.floor(offset / SPAN),
    spanStart: (span) => span * SPAN,
  });
}

describe("SequentialStreams", () => {
  test("asks for nothing behind the first read", () => {
    expect(streams().observe(10 * MiB, 11 * MiB)).toBeUndefined();
  });

  test("asks for more behind a second read in a row, and more the longer it goes on", () => {
    const seen = streams();
    seen.observe(0, MiB);
    expect(seen.observe(MiB, 2 * MiB)).toEqual({ start: 2 * MiB, end: 10 * MiB });
    expect(seen.observe(2 * MiB, 3 * MiB)).toEqual({ start: 10 * MiB, end: 15 * MiB });
    expect(seen.observe(3 * MiB, 4 * MiB)).toEqual({ start: 15 * MiB, end: 20 * MiB });
  });

  test("asks for no more than its bound ahead", () => {
    const seen = streams(3 * MiB);
    seen.observe(0, MiB);
    expect(seen.observe(MiB, 2 * MiB)).toEqual({ start: 2 * MiB, end: 5 * MiB });
    expect(seen.observe(2 * MiB, 3 * MiB)).toEqual({ start: 5 * MiB, end: 6 * MiB });
  });

  test("takes reads that overtake one another, and headers between, for a row", () => {
    const seen = streams();
    seen.observe(0, MiB);
    seen.observe(2 * MiB + 512, 3 * MiB);
    expect(seen.observe(MiB, 2 * MiB)).toBeUndefined();
    expect(seen.observe(3 * MiB + 512, 4 * MiB)).not.toBeUndefined();
  });

  test("keeps readers apart that read at different places in turn", () => {
    const seen = streams();
    for (const place of [0, 100, 200, 300]) seen.observe(place * MiB, (place + 1) * MiB);
    for (const place of [0, 100, 200, 300]) {
      const start = (place + 1) * MiB;
      expect(seen.observe(start, start + MiB)).toEqual({
        start: start + MiB,
        end: start + 9 * MiB,
      });
    }
  });

  test("asks for nothing for random reads", () => {
    const seen = streams();
    let state = 1;
    let asked = 0;
    for (let i = 0; i < 1000; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      const start = (state / 2 ** 32) * 100_000 * MiB;
      if (seen.observe(start, start + 20 * KiB) !== undefined) asked += 1;
    }
    expect(asked).toBeLessThan(10);
  });

  test("takes a read at the start of the next span for one that went on unseen", () => {
    const seen = streams();
    seen.observe(SPAN + 100 * KiB, SPAN + 120 * KiB);
    const ahead = seen.observe(2 * SPAN + 10 * KiB, 2 * SPAN + 30 * KiB);
    expect(ahead?.start).toBe(2 * SPAN + 30 * KiB);
    expect((ahead?.end ?? 0) - (ahead?.start ?? 0)).toBeGreaterThan(SPAN);
  });

  test("does not take a read in the middle of the next span for one", () => {
    const seen = streams();
    seen.observe(SPAN, SPAN + 20 * KiB);
    expect(seen.observe(2.5 * SPAN, 2.5 * SPAN + 20 * KiB)).toBeUndefined();
  });

  test("asks for more when a reader is seen in what was asked for", () => {
    const seen = streams();
    seen.observe(0, MiB);
    seen.observe(MiB, 2 * MiB);
    const ahead = seen.advance(SPAN, 2 * SPAN);
    expect(ahead?.start).toBe(10 * MiB);
    expect(ahead?.end).toBeGreaterThan(2 * SPAN);
    expect(seen.advance(500 * MiB, 504 * MiB)).toBeUndefined();
  });

  test("stops at the end of the first file, and goes on behind those that follow in order", () => {
    const seen = streams();
    seen.observe(0, MiB, 3 * MiB);
    expect(seen.observe(MiB, 2 * MiB, 3 * MiB)).toEqual({ start: 2 * MiB, end: 3 * MiB });
    expect(seen.observe(2 * MiB, 3 * MiB, 3 * MiB)).toBeUndefined();
    const next = 3 * MiB + KiB;
    const ahead = seen.observe(next, next + KiB, next + KiB);
    expect(ahead?.end).toBe(next + KiB + 12 * MiB);
  });
});
