import fc from "fast-check";
import { type Block, type Codes, StreamWriter, type Token } from "./deflate-writer.ts";

const token: fc.Arbitrary<Token> = fc.oneof(
  { weight: 5, arbitrary: fc.nat(255).map((value) => ({ kind: "literal" as const, value })) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("match" as const),
      length: fc.oneof(
        fc.constantFrom(3, 4, 10, 16, 17, 32, 33, 257, 258),
        fc.integer({ min: 3, max: 258 }),
      ),
      distance: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 1, max: 40 }) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 32768 }) },
      ),
      // 600 of them pass both ends of an output buffer of 128 KiB.
      times: fc.oneof(
        { weight: 8, arbitrary: fc.integer({ min: 1, max: 4 }) },
        { weight: 1, arbitrary: fc.integer({ min: 400, max: 1200 }) },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("symbol" as const),
      litlen: fc.nat(287),
      distance: fc.nat(31),
    }),
  },
);

const tokens = fc.array(token, { maxLength: 40 });

/** Lengths of a complete code: of leaves of a tree that is split again and again. */
function completeLengths(symbols: number, splits: readonly number[]): number[] {
  const depths = [0];
  for (const split of splits) {
    const at = split % depths.length;
    const depth = depths[at] ?? 0;
    if (depth < 15 && depths.length < symbols) depths.splice(at, 1, depth + 1, depth + 1);
  }
  return depths.length === 1 ? [1] : depths;
}

/** Code lengths of `symbols` symbols: mostly complete, with the code in any place; some changed. */
function codeLengths(symbols: number, needed: number | undefined): fc.Arbitrary<readonly number[]> {
  const complete = completeCode(symbols, needed);
  const changed = fc
    .tuple(complete, fc.nat(symbols - 1), fc.nat(15))
    .map(([lengths, at, length]) => lengths.map((old, i) => (i === at ? length : old)));
  const any = fc.array(fc.nat(15), { minLength: symbols, maxLength: symbols });
  const single = fc
    .tuple(fc.nat(symbols - 1), fc.constantFrom(0, 1, 1, 2))
    .map(([at, length]) => Array.from({ length: symbols }, (_, i) => (i === at ? length : 0)));
  return fc.oneof(
    { weight: 6, arbitrary: complete },
    { weight: 2, arbitrary: changed },
    { weight: 1, arbitrary: any },
    { weight: 2, arbitrary: single },
  );
}

/** Lengths of a complete code, in any order; `needed` has a code. */
function completeCode(
  symbols: number,
  needed: number | undefined,
): fc.Arbitrary<readonly number[]> {
  return fc
    .tuple(
      fc.array(fc.nat(1000), { maxLength: Math.min(symbols - 1, 290) }),
      fc.array(fc.nat(2 ** 30), { minLength: 8, maxLength: 8 }),
    )
    .map(([splits, keys]) => {
      const lengths = completeLengths(symbols, splits);
      const all = [...lengths, ...new Array<number>(symbols - lengths.length).fill(0)];
      for (let i = all.length - 1; i > 0; i--) {
        const j = (((keys[i % 8] ?? 0) + Math.imul(i, 40_503)) >>> 0) % (i + 1);
        [all[i], all[j]] = [all[j] ?? 0, all[i] ?? 0];
      }
      if (needed !== undefined && all[needed] === 0) {
        const used = all.findIndex((length) => length > 0);
        [all[needed], all[used]] = [all[used] ?? 0, 0];
      }
      return all;
    });
}

const soundCodes: fc.Arbitrary<Codes> = fc
  .record({
    litlens: fc.integer({ min: 257, max: 286 }),
    distances: fc.integer({ min: 1, max: 30 }),
  })
  .chain(({ litlens, distances }) =>
    fc.record({ litlen: completeCode(litlens, 256), distance: distanceCode(distances) }),
  );

const codes: fc.Arbitrary<Codes> = fc
  .record({
    litlens: fc.oneof(fc.integer({ min: 257, max: 286 }), fc.constantFrom(257, 286, 287, 288)),
    distances: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom(1, 2, 30, 31, 32)),
  })
  .chain(({ litlens, distances }) =>
    fc.record({ litlen: codeLengths(litlens, 256), distance: codeLengths(distances, undefined) }),
  );

/** Complete, or a single code of one bit, or none. */
function distanceCode(symbols: number): fc.Arbitrary<readonly number[]> {
  const single = fc
    .tuple(fc.nat(symbols - 1), fc.constantFrom(0, 1))
    .map(([at, length]) => Array.from({ length: symbols }, (_, i) => (i === at ? length : 0)));
  return symbols === 1
    ? single
    : fc.oneof(
        { weight: 4, arbitrary: completeCode(symbols, undefined) },
        { weight: 1, arbitrary: single },
      );
}

/** Counts and code length code lengths: a complete code most times, so that what it encodes is read. */
const randomHeader = fc
  .record({
    litlens: fc.oneof(fc.nat(29), fc.nat(31)),
    distances: fc.oneof(fc.nat(29), fc.nat(31)),
    splits: fc.array(fc.nat(40), { minLength: 1, maxLength: 18 }),
    order: fc.array(fc.nat(18), { minLength: 19, maxLength: 19 }),
    spoil: fc.constantFrom(false, false, false, true),
  })
  .map(({ litlens, distances, splits, order, spoil }) => {
    const lengths = completeLengths(19, splits).map((length) => Math.min(7, length));
    while (lengths.length < 19) lengths.push(0);
    for (const [i, j] of order.entries()) {
      [lengths[i], lengths[j]] = [lengths[j] ?? 0, lengths[i] ?? 0];
    }
    if (spoil) lengths[0] = ((lengths[0] ?? 0) + 1) & 7;
    return [litlens, distances, 15, ...lengths];
  });

const soundBlock: fc.Arbitrary<Block> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("stored" as const),
      size: fc.oneof(
        { weight: 4, arbitrary: fc.nat(70) },
        { weight: 2, arbitrary: fc.nat(4000) },
        { weight: 1, arbitrary: fc.constantFrom(32767, 32768, 65535) },
      ),
      flaw: fc.constant(0),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("fixed" as const), tokens }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("dynamic" as const), codes: soundCodes, tokens }),
  },
);

const anyBlock: fc.Arbitrary<Block> = fc.oneof(
  { weight: 6, arbitrary: soundBlock },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("dynamic" as const), codes, tokens }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("stored" as const),
      size: fc.nat(70),
      flaw: fc.constantFrom(1, 0x8000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("random-header" as const),
      header: randomHeader,
      tail: fc.uint8Array({ maxLength: 400 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("noise" as const),
      bytes: fc.uint8Array({ maxLength: 60 }),
    }),
  },
);

export interface DeflateStream {
  readonly bytes: Uint8Array;
  /** Bits of the first byte that come before the stream, 0 to 7. */
  readonly skippedBits: number;
}

/** Raw deflate streams of every kind of block, about half of them sound; they may begin in the middle of a byte. */
export const deflateStream: fc.Arbitrary<DeflateStream> = fc
  .record({
    sound: fc.array(soundBlock, { maxLength: 5 }),
    last: fc.oneof(soundBlock, anyBlock),
    careful: fc.constantFrom(true, true, true, false),
    skippedBits: fc.oneof(fc.constant(0), fc.nat(7)),
    tail: fc.uint8Array({ maxLength: 40 }),
  })
  .map(({ sound, last, careful, skippedBits, tail }) => {
    const writer = new StreamWriter(careful);
    writer.out.put(0x55, skippedBits);
    for (const block of sound) writer.put(block, false);
    writer.put(last, true);
    writer.out.align();
    return { bytes: Buffer.concat([writer.out.bytes(), tail]), skippedBits };
  });
