import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PieceDigester, verifyPieces } from "../../src/image/piece-digests.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

const MiB = 1 << 20;

function digestsOf(bytes: Uint8Array) {
  const digester = new PieceDigester();
  digester.update(bytes);
  return digester.finish();
}

async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

/** What comes out before the end, or before the error. */
async function collect(source: AsyncIterable<Uint8Array>) {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of source) chunks.push(chunk.slice());
    return { bytes: Buffer.concat(chunks), error: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error };
  }
}

describe("PieceDigester", () => {
  test("makes one digest for each MiB that has begun", () => {
    const counts = [0, 1, MiB, MiB + 1].map(
      (size) => digestsOf(sampleBytes(size)).digests.length / 32,
    );
    expect(counts).toEqual([0, 1, 1, 2]);
  });

  test("makes the same digests of chunks of any size", async () => {
    const bytes = sampleBytes(3 * MiB + 5);
    const digester = new PieceDigester();
    for await (const chunk of cut(bytes, [1, MiB, 2 * MiB - 2, 3])) digester.update(chunk);
    expect(digester.finish()).toEqual(digestsOf(bytes));
  });
});

describe("verifyPieces()", () => {
  test("gives back any stream, cut anywhere", async () => {
    const bytes = sampleBytes(2 * MiB + 77);
    const digests = digestsOf(bytes);
    const sizes = fc.array(fc.integer({ min: 0, max: 2 * MiB }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(sizes, async (cuts) => {
        const out = await collect(verifyPieces(cut(bytes, cuts), digests, "layer"));
        expect(out.error).toBeUndefined();
        expect(out.bytes.equals(bytes)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test("gives nothing of a piece with a wrong byte, and all before it", async () => {
    const bytes = sampleBytes(3 * MiB);
    const digests = digestsOf(bytes);
    const wrong = Buffer.from(bytes);
    wrong[2 * MiB - 1] = (wrong[2 * MiB - 1] ?? 0) ^ 1;
    const out = await collect(verifyPieces(cut(wrong, [5]), digests, "layer"));
    expect(out.error).toMatchObject({ kind: "data-loss" });
    expect(out.bytes.equals(bytes.subarray(0, MiB))).toBe(true);
  });

  test.each([
    { title: "that ends early", change: (bytes: Buffer) => bytes.subarray(0, MiB + 5) },
    { title: "that ends before its first piece", change: (bytes: Buffer) => bytes.subarray(0, 5) },
    { title: "that goes on", change: (bytes: Buffer) => Buffer.concat([bytes, bytes]) },
  ])("refuses a stream $title", async ({ change }) => {
    const bytes = sampleBytes(MiB + 100);
    const out = await collect(verifyPieces(cut(change(bytes), []), digestsOf(bytes), "layer"));
    expect(out.error).toMatchObject({ kind: "data-loss" });
  });

  test("gives nothing for an empty stream", async () => {
    const empty = new Uint8Array(0);
    const out = await collect(verifyPieces(cut(empty, []), digestsOf(empty), "layer"));
    expect(out).toEqual({ bytes: Buffer.alloc(0), error: undefined });
  });
});
