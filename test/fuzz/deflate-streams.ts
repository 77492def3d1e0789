import fc from "fast-check";

// RFC 1951 written down once more, for streams that no compressor makes: sound ones at the limits of
// the format, and ones that are a little wrong.

/** Collects bits, the first one lowest. */
class BitWriter {
  readonly #bytes: number[] = [];
  #bits = 0;

  get length(): number {
    return this.#bits;
  }

  put(value: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = this.#bits >> 3;
      this.#bytes[at] = (this.#bytes[at] ?? 0) | (((value >> i) & 1) << (this.#bits & 7));
      this.#bits++;
    }
  }

  /** A Huffman code: its first bit is the highest. */
  code({ bits, length }: Code): void {
    for (let i = length - 1; i >= 0; i--) this.put((bits >> i) & 1, 1);
  }

  align(): void {
    this.#bits = this.#bytes.length * 8;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

interface Code {
  readonly bits: number;
  readonly length: number;
}

/** Canonical codes by RFC 1951, 3.2.2; symbols of length 0 have the empty code. */
function codesOf(lengths: readonly number[]): readonly Code[] {
  const next = new Array<number>(17).fill(0);
  for (let length = 1, code = 0; length <= 15; length++) {
    code = (code + (length === 1 ? 0 : lengths.filter((l) => l === length - 1).length)) << 1;
    next[length] = code;
  }
  return lengths.map((length) => {
    if (length === 0) return NO_CODE;
    const bits = next[length] ?? 0;
    next[length] = bits + 1;
    return { bits, length };
  });
}

const NO_CODE: Code = { bits: 0, length: 0 };

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const FIXED_LITLEN = Array.from({ length: 288 }, (_, s) =>
  s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8,
);
const FIXED_DISTANCE = new Array<number>(30).fill(5);
const PRECODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** What a block's codes say: a literal, a match repeated, or any symbol at all with chosen extra bits. */
type Token =
  | { readonly kind: "literal"; readonly value: number }
  | {
      readonly kind: "match";
      readonly length: number;
      readonly distance: number;
      readonly times: number;
    }
  | { readonly kind: "symbol"; readonly litlen: number; readonly distance: number };

interface Codes {
  readonly litlen: readonly number[];
  readonly distance: readonly number[];
}

type Block =
  | { readonly kind: "stored"; readonly size: number; readonly flaw: number }
  | { readonly kind: "fixed"; readonly tokens: readonly Token[] }
  | { readonly kind: "dynamic"; readonly codes: Codes; readonly tokens: readonly Token[] }
  | {
      readonly kind: "random-header";
      readonly header: readonly number[];
      readonly tail: Uint8Array;
    }
  | { readonly kind: "noise"; readonly bytes: Uint8Array };

function indexIn(bases: readonly number[], value: number): number {
  return bases.findLastIndex((base) => base <= value);
}

/** Writes a stream's blocks, and counts the bytes that they stand for. */
class StreamWriter {
  readonly out = new BitWriter();
  /** Whether symbols without a code and matches that reach too far are left out. */
  readonly #careful: boolean;
  #made = 0;

  constructor(careful: boolean) {
    this.#careful = careful;
  }

  put(block: Block, isLast: boolean): void {
    const { out } = this;
    if (block.kind === "noise") {
      for (const byte of block.bytes) out.put(byte, 8);
      return;
    }
    out.put(isLast ? 1 : 0, 1);
    out.put({ stored: 0, fixed: 1, dynamic: 2, "random-header": 2 }[block.kind], 2);
    if (block.kind === "stored") {
      this.#made += block.size;
      out.align();
      out.put(block.size, 16);
      out.put(~block.size ^ block.flaw, 16);
      for (let i = 0; i < block.size; i++) out.put((i * 37) ^ (i >> 5), 8);
    } else if (block.kind === "fixed") {
      this.#putTokens(block.tokens, { litlen: FIXED_LITLEN, distance: FIXED_DISTANCE });
    } else if (block.kind === "dynamic") {
      putFlatHeader(out, block.codes);
      this.#putTokens(block.tokens, block.codes);
    } else {
      putRandomHeader(out, block.header);
      for (const byte of block.tail) out.put(byte, 8);
    }
  }

  #putTokens(tokens: readonly Token[], codes: Codes): void {
    const litlen = codesOf(codes.litlen);
    const distances = codesOf(codes.distance);
    for (const token of tokens) this.#putToken(token, litlen, distances);
    this.out.code(litlen[256] ?? NO_CODE);
  }

  #putToken(token: Token, litlen: readonly Code[], distances: readonly Code[]): void {
    const { out } = this;
    if (token.kind === "symbol") {
      if (this.#careful) return;
      out.code(litlen[token.litlen] ?? NO_CODE);
      if (token.litlen <= 256) return;
      out.put(token.distance * 7, lengthExtra(token.litlen - 257));
      out.code(distances[token.distance] ?? NO_CODE);
      out.put(token.litlen * 31, distanceExtra(token.distance));
      return;
    }
    if (token.kind === "literal") {
      const code = litlen[token.value] ?? NO_CODE;
      if (this.#careful && code.length === 0) return;
      out.code(code);
      this.#made++;
      return;
    }
    const { length, times } = token;
    const distance = this.#careful ? Math.min(token.distance, this.#made) : token.distance;
    const l = length === 258 ? 28 : Math.min(27, indexIn(LENGTH_BASE, length));
    const d = Math.max(0, indexIn(DISTANCE_BASE, distance));
    const lengthCode = litlen[257 + l] ?? NO_CODE;
    const distanceCode = distances[d] ?? NO_CODE;
    if (this.#careful && (distance < 1 || lengthCode.length * distanceCode.length === 0)) return;
    for (let i = 0; i < times; i++) {
      out.code(lengthCode);
      out.put(length - (LENGTH_BASE[l] ?? 0), lengthExtra(l));
      out.code(distanceCode);
      out.put(distance - (DISTANCE_BASE[d] ?? 0), distanceExtra(d));
    }
    this.#made += length * times;
  }
}

function lengthExtra(index: number): number {
  return index < 8 || index >= 28 ? 0 : (index >> 2) - 1;
}

function distanceExtra(index: number): number {
  return index < 4 ? 0 : (index >> 1) - 1;
}

/** A header whose code length code gives all 16 lengths 4 bits and has no repeats. */
function putFlatHeader(out: BitWriter, { litlen, distance }: Codes): void {
  const lengths = Array.from({ length: 19 }, (_, s) => (s < 16 ? 4 : 0));
  const codes = codesOf(lengths);
  out.put(litlen.length - 257, 5);
  out.put(distance.length - 1, 5);
  out.put(15, 4);
  for (const symbol of PRECODE_ORDER) out.put(lengths[symbol] ?? 0, 3);
  for (const length of [...litlen, ...distance]) out.code(codes[length] ?? NO_CODE);
}

/** A header of random counts and code length code lengths; what follows is random bits. */
function putRandomHeader(out: BitWriter, header: readonly number[]): void {
  const [litlens = 0, distances = 0, count = 0, ...lengths] = header;
  out.put(litlens, 5);
  out.put(distances, 5);
  out.put(count, 4);
  for (let i = 0; i < (count & 15) + 4; i++) out.put(lengths[i] ?? 0, 3);
}

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
