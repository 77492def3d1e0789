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
export type Token =
  | { readonly kind: "literal"; readonly value: number }
  | {
      readonly kind: "match";
      readonly length: number;
      readonly distance: number;
      readonly times: number;
    }
  | { readonly kind: "symbol"; readonly litlen: number; readonly distance: number };

export interface Codes {
  readonly litlen: readonly number[];
  readonly distance: readonly number[];
}

export type Block =
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
export class StreamWriter {
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
