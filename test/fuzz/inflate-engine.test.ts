import { expect } from "bun:test";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { deflateStream } from "./deflate-streams.ts";
import { fuzz } from "./fuzz.ts";
import { isPrefixOfOther, type InflateTrace, traceInflate } from "./inflate-trace.ts";
import { mutationsOf } from "./mutations.ts";

const wasm = new WasmEngine();
const pako = new PakoEngine();

const pieceSizes = fc.oneof(
  fc.constant([1 << 20]),
  fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
  fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 6 }),
);

/** Gives the sizes one after another, from the front again at their end. */
function cycle(sizes: readonly number[]): () => number {
  let next = 0;
  return () => sizes[next++ % sizes.length] ?? 1;
}

const windows = fc.oneof(
  fc.constant(undefined),
  fc.nat(300).map((length) => sampleBytes(length)),
  fc.constantFrom(32_767, 32_768, 40_000).map((length) => sampleBytes(length)),
);

function expectSame(got: InflateTrace, want: InflateTrace): void {
  expect({ whole: got.whole, boundaries: got.boundaries }).toEqual({
    whole: want.whole,
    boundaries: [...want.boundaries],
  });
  if (want.whole) {
    expect(got.bytes.equals(want.bytes)).toBe(true);
    expect(got.rest.equals(want.rest)).toBe(true);
  } else {
    // How much comes out before an error differs; what comes out does not.
    expect(isPrefixOfOther(got.bytes, want.bytes)).toBe(true);
  }
}

/** What zlib makes of a stream without its trailing bytes; undefined when it refuses it. */
function zlibBytes(bytes: Uint8Array): Buffer | undefined {
  try {
    return inflateRawSync(bytes, { maxOutputLength: 8 << 20 });
  } catch {
    return undefined;
  }
}

fuzz(
  "WasmEngine does what pako does with streams of every kind of block, sound or not",
  { runs: 1500 },
  fc.record({ stream: deflateStream, window: windows, sizes: pieceSizes }),
  ({ stream: { bytes, skippedBits }, window, sizes }) => {
    const bits = skippedBits === 0 ? 0 : 8 - skippedBits;
    const start = {
      bits,
      partialByte: bytes[0] ?? 0,
      ...(window === undefined ? {} : { window }),
    };
    const input = bits === 0 ? bytes : bytes.subarray(1);
    const want = traceInflate(pako, input, { start });
    expectSame(traceInflate(wasm, input, { start, pieceBytes: cycle(sizes) }), want);
    expectSame(traceInflate(pako, input, { start, pieceBytes: cycle(sizes) }), want);
  },
);

fuzz(
  "WasmEngine gives what zlib gives, or refuses what zlib refuses, of streams of every kind",
  { runs: 1000 },
  deflateStream.filter(({ skippedBits }) => skippedBits === 0),
  ({ bytes }) => {
    const got = traceInflate(wasm, bytes);
    fc.pre(got.bytes.length <= 4 << 20);
    expect(got.whole ? got.bytes.toString("latin1") : undefined).toBe(
      zlibBytes(bytes)?.toString("latin1"),
    );
  },
);

const PACKED = [
  { level: 0, memLevel: 1 },
  { level: 1, memLevel: 4 },
  { level: 6, memLevel: 1 },
  { level: 9, memLevel: 9 },
  { level: 6, strategy: constants.Z_FIXED, memLevel: 3 },
  { level: 6, strategy: constants.Z_HUFFMAN_ONLY, memLevel: 5 },
  { level: 6, strategy: constants.Z_RLE },
].map((options, seed) => deflateRawSync(sampleBytes(3000 + 7000 * seed, seed), options));

fuzz(
  "WasmEngine does what pako does with damaged streams of zlib",
  { runs: 1500 },
  fc.record({ bytes: mutationsOf(PACKED), sizes: pieceSizes, window: windows }),
  ({ bytes, sizes, window }) => {
    const start = window === undefined ? {} : { window };
    const want = traceInflate(pako, bytes, { start });
    expectSame(traceInflate(wasm, bytes, { start, pieceBytes: cycle(sizes) }), want);
  },
);

/** Longer than both engines' output buffers, so that every offset comes to stand at their ends. */
const LONG = [
  Buffer.concat([sampleBytes(1000), Buffer.alloc(300_000, 7), sampleBytes(150_000)]),
  sampleBytes(400_000, 3),
  Buffer.concat(Array.from({ length: 40 }, () => sampleBytes(9000, 4))),
].map((bytes) => ({ bytes, packed: deflateRawSync(bytes, { level: 9, memLevel: 2 }) }));

fuzz(
  "WasmEngine stops where pako stops, whatever offsets are passed over",
  { runs: 60 },
  fc.record({
    long: fc.nat(LONG.length - 1),
    lead: fc.nat(65_535),
    span: fc.oneof(fc.nat(500), fc.nat(200_000)),
    sizes: pieceSizes.filter(([size = 0]) => size > 100),
  }),
  ({ long, lead, span, sizes }) => {
    const { bytes, packed } = LONG[long] ?? { bytes: Buffer.alloc(0), packed: Buffer.alloc(0) };
    // A stored block in front moves the rest to any place of the buffers.
    const stored = Buffer.alloc(5 + lead, 1);
    stored[0] = 0;
    stored.writeUInt16LE(lead, 1);
    stored.writeUInt16LE(lead ^ 0xffff, 3);
    const input = Buffer.concat([stored, packed]);
    const got = traceInflate(wasm, input, { pieceBytes: cycle(sizes), spanBytes: span });
    expectSame(got, traceInflate(pako, input, { spanBytes: span }));
    expect(got.bytes.subarray(-bytes.length).equals(bytes)).toBe(true);
  },
);
