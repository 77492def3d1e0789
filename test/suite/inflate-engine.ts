import { describe, expect, test } from "bun:test";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import type { InflateEngine, InflateStart, InflateStop } from "../../src/deflate/inflate-engine.ts";
import { WINDOW_BYTES } from "../../src/deflate/inflate-engine.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

interface Boundary {
  readonly in: number;
  readonly out: number;
  readonly bits: number;
  readonly window: Buffer;
}

interface Decoded {
  readonly bytes: Buffer;
  readonly boundaries: readonly Boundary[];
  readonly rest: Buffer;
}

interface DecodeOptions {
  /** Input is handed over in pieces of this size. */
  readonly pieceBytes?: number;
  readonly start?: InflateStart;
}

/** Runs `engine` over `input` to its end. */
function decodeRaw(
  engine: InflateEngine,
  input: Uint8Array,
  { pieceBytes = 65_536, start = {} }: DecodeOptions = {},
): Decoded {
  engine.start(start);
  const parts: Buffer[] = [];
  const boundaries: Boundary[] = [];
  for (let at = 0, ended = false; ;) {
    const stop: InflateStop = engine.run(-1);
    parts.push(Buffer.from(engine.output));
    if (stop === "boundary") {
      const window = Buffer.alloc(WINDOW_BYTES);
      engine.copyWindow(window);
      boundaries.push({ in: engine.totalIn, out: engine.totalOut, bits: engine.bits, window });
    } else if (stop === "end") {
      const rest = Buffer.concat([engine.takeRest(), input.subarray(at)]);
      return { bytes: Buffer.concat(parts), boundaries, rest };
    } else if (stop === "input" && at < input.length) {
      at += engine.feed(input.subarray(at, at + pieceBytes));
    } else if (stop === "input") {
      if (ended) throw new Error("run() asked for input after its end");
      engine.endInput();
      ended = true;
    }
  }
}

const STRATEGIES = [
  { title: "stored", level: 0, strategy: constants.Z_DEFAULT_STRATEGY },
  { title: "level 1", level: 1, strategy: constants.Z_DEFAULT_STRATEGY },
  { title: "level 6", level: 6, strategy: constants.Z_DEFAULT_STRATEGY },
  { title: "level 9", level: 9, strategy: constants.Z_DEFAULT_STRATEGY },
  { title: "fixed codes", level: 6, strategy: constants.Z_FIXED },
  { title: "Huffman only", level: 6, strategy: constants.Z_HUFFMAN_ONLY },
  { title: "run lengths", level: 6, strategy: constants.Z_RLE },
];

/** What every engine promises. `other` is an independent engine that must stop at the same places. */
export function inflateEngineSuite(
  make: () => InflateEngine,
  makeOther: () => InflateEngine,
): void {
  const { name } = make();

  describe.each(STRATEGIES)(`${name} engine, $title`, ({ level, strategy }) => {
    const plain = sampleBytes(700_000);
    // A small memLevel makes many blocks.
    const packed = deflateRawSync(plain, { level, strategy, memLevel: 4 });

    test("run() gives the bytes that zlib gives", () => {
      expect(decodeRaw(make(), packed).bytes.equals(plain)).toBe(true);
    });

    test("run() stops at the block boundaries at which the other engine stops", () => {
      const { boundaries } = decodeRaw(make(), packed);
      expect(boundaries).toEqual([...decodeRaw(makeOther(), packed).boundaries]);
    });

    test.each([{ piece: 1 }, { piece: 7 }, { piece: 1000 }, { piece: 300_000 }])(
      "run() resumes when input comes in pieces of $piece bytes",
      ({ piece }) => {
        const short =
          piece === 1 ? deflateRawSync(plain.subarray(0, 50_000), { level, strategy }) : packed;
        const want = inflateRawSync(short);
        expect(decodeRaw(make(), short, { pieceBytes: piece }).bytes.equals(want)).toBe(true);
      },
    );

    test("start() begins at a boundary with its window and bits", () => {
      const engine = make();
      const { boundaries } = decodeRaw(engine, packed);
      // Some strategies make hundreds of blocks: a dozen of them, the last one too.
      const step = Math.ceil(boundaries.length / 12);
      const some = boundaries.toReversed().filter((_, i) => i % step === 0);
      for (const { in: start, out, bits, window } of some) {
        const partialByte = packed[start - 1] ?? 0;
        const { bytes } = decodeRaw(engine, packed.subarray(start), {
          start: { bits, window, partialByte },
        });
        expect(bytes.equals(plain.subarray(out))).toBe(true);
      }
    });

    test("run() throws data-loss where the data is cut, never wrong bytes", () => {
      const short = deflateRawSync(plain.subarray(0, 3000), { level, strategy });
      const engine = make();
      for (let length = 0; length < short.length; length++) {
        expect(() => decodeRaw(engine, short.subarray(0, length))).toThrow(
          expect.objectContaining({ kind: "data-loss" }),
        );
      }
    });
  });

  describe(`${name} engine`, () => {
    test("takeRest() gives back exactly what follows the last block", () => {
      const packed = deflateRawSync(sampleBytes(10_000));
      const tail = sampleBytes(5000);
      for (const piece of [3, 100, 100_000]) {
        expect(
          decodeRaw(make(), Buffer.concat([packed, tail]), { pieceBytes: piece }).rest.equals(tail),
        ).toBe(true);
      }
    });

    test("run() with stopAfter passes over boundaries up to that offset", () => {
      const packed = deflateRawSync(sampleBytes(400_000), { memLevel: 5 });
      const all = decodeRaw(make(), packed).boundaries;
      const third = all[2]?.out ?? 0;
      const engine = make();
      engine.start();
      engine.feed(packed);
      let stop: InflateStop = engine.run(third);
      while (stop === "output") stop = engine.run(third);
      expect({ stop, out: engine.totalOut }).toEqual({
        stop: "boundary",
        out: all.find(({ out }) => out > third)?.out ?? 0,
      });
    });

    test("start() refuses matches that reach before a member's start", () => {
      const dictionary = sampleBytes(1000);
      const packed = deflateRawSync(dictionary, { dictionary });
      const engine = make();
      decodeRaw(engine, deflateRawSync(dictionary));
      engine.start({ window: "next-member" });
      engine.feed(packed);
      engine.endInput();
      expect(() => {
        while (engine.run() !== "end") {
          // until it fails
        }
      }).toThrow(expect.objectContaining({ kind: "data-loss" }));
    });

    test("copyWindow() goes on over members", () => {
      const first = sampleBytes(20_000);
      const second = sampleBytes(5000).reverse();
      const engine = make();
      decodeRaw(engine, deflateRawSync(first));
      engine.start({ window: "next-member" });
      engine.feed(deflateRawSync(second));
      engine.endInput();
      while (engine.run() !== "end") {
        // to its end
      }
      const window = Buffer.alloc(WINDOW_BYTES);
      engine.copyWindow(window);
      const want = Buffer.concat([Buffer.alloc(WINDOW_BYTES), first, second]).subarray(
        -WINDOW_BYTES,
      );
      expect(window.equals(want)).toBe(true);
    });

    test("run() gives what zlib gives, or data-loss where zlib refuses, on damaged data", () => {
      const packed = deflateRawSync(sampleBytes(4000));
      fc.assert(
        fc.property(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
          const damaged = Buffer.from(packed);
          damaged[at] = (damaged[at] ?? 0) ^ flip;
          const got = attempt(() => decodeRaw(make(), damaged).bytes);
          const want = attempt(() => inflateRawSync(damaged));
          expect(got?.toString("hex")).toBe(want?.toString("hex"));
        }),
        { numRuns: 300 },
      );
    });

    test("run() gives what zlib gives, or data-loss, on arbitrary bytes", () => {
      fc.assert(
        fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
          const got = attempt(() => decodeRaw(make(), bytes).bytes);
          const want = attempt(() => inflateRawSync(bytes));
          expect(got?.toString("hex")).toBe(want?.toString("hex"));
        }),
        { numRuns: 2000 },
      );
    });
  });
}

function attempt(decode: () => Buffer): Buffer | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
