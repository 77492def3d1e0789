import { COUNTS, SORTED, STARTS } from "./layout";

export const KIND_PRECODE: i32 = 0;
export const KIND_LITLEN: i32 = 1;
export const KIND_DISTANCE: i32 = 2;

/** Set in an entry that is not an ordinary literal, length or distance. */
export const EXCEPTIONAL: u32 = 0x80000000;
export const END_OF_BLOCK: u32 = 0x40000000;
export const SUBTABLE: u32 = 0x20000000;
export const EXCEPTIONAL_DISTANCE: u64 = 0x8000000000000000;
export const SUBTABLE_DISTANCE: u64 = 0x4000000000000000;

/** Sorts the symbols by code length (counting sort) and returns the longest length, or -1 when over-subscribed or incomplete. */
@inline
function sortSymbols(lengths: usize, symbols: u32, kind: i32): i32 {
  memory.fill(COUNTS, 0, 64);
  for (let s: u32 = 0; s < symbols; s++) {
    const at = COUNTS + ((<usize>load<u8>(lengths + s)) << 2);
    store<u32>(at, load<u32>(at) + 1);
  }
  let left: i32 = 1;
  let start: u32 = 0;
  let longest: i32 = 0;
  store<u32>(STARTS, 0);
  for (let length: i32 = 1; length <= 15; length++) {
    const count = load<u32>(COUNTS + (length << 2));
    left = (left << 1) - <i32>count;
    if (left < 0) return -1;
    store<u32>(STARTS + (length << 2), start);
    start += count;
    if (count != 0) longest = length;
  }
  // zlib's rule: a set may be incomplete only as a single one-bit code of lengths or distances, or empty.
  if (left > 0 && longest != 0 && (kind == KIND_PRECODE || longest != 1)) return -1;
  for (let s: u32 = 0; s < symbols; s++) {
    const length = <usize>load<u8>(lengths + s);
    if (length != 0) {
      const at = STARTS + (length << 2);
      const place = load<u32>(at);
      store<u32>(at, place + 1);
      store<u16>(SORTED + (place << 1), <u16>s);
    }
  }
  return longest;
}

@inline
function entryOf(kind: i32, meaning: usize, symbol: u32, length: u32): u64 {
  if (kind == KIND_DISTANCE) return load<u64>(meaning + (symbol << 3)) + <u64>(length | (length << 8));
  if (kind == KIND_LITLEN) {
    const entry = load<u32>(meaning + (symbol << 2)) + length;
    return <u64>(symbol > 256 ? entry + (length << 8) : entry);
  }
  return <u64>((symbol << 8) | length);
}

@inline
function put(kind: i32, table: usize, index: u32, entry: u64): void {
  if (kind == KIND_DISTANCE) store<u64>(table + (index << 3), entry);
  else store<u32>(table + (index << 2), <u32>entry);
}

/**
 * Builds the decode table of a canonical code (RFC 1951, 3.2.2), indexed by the next bits of the
 * stream. The table of n bits grows by doubling: after the codes of one length are in, what was
 * built is copied behind itself, which fills in the next bit for all shorter codes at once.
 * Returns false when zlib would refuse the lengths.
 */
@inline
export function buildTable(
  lengths: usize,
  symbols: u32,
  kind: i32,
  meaning: usize,
  table: usize,
  tableBits: u32,
): bool {
  const longest = sortSymbols(lengths, symbols, kind);
  if (longest < 0) return false;
  const shift: u32 = kind == KIND_DISTANCE ? 3 : 2;
  const tableSize: u32 = 1 << tableBits;
  if (longest <= 1 && !(longest == 1 && load<u32>(COUNTS + 4) == 2)) {
    // Empty, or one code of one bit: every other pattern is invalid.
    const invalid = kind == KIND_DISTANCE ? EXCEPTIONAL_DISTANCE : kind == KIND_LITLEN ? <u64>EXCEPTIONAL : 0;
    const only = longest == 1 ? entryOf(kind, meaning, <u32>load<u16>(SORTED), 1) : invalid;
    for (let i: u32 = 0; i < tableSize; i += 2) {
      put(kind, table, i, only);
      put(kind, table, i + 1, invalid);
    }
    return true;
  }

  let code: u32 = 0; // the current code, first bit lowest
  let sorted: usize = SORTED;
  let length: u32 = 1;
  let count = load<u32>(COUNTS + 4);
  while (count == 0) count = load<u32>(COUNTS + (++length << 2));
  let size: u32 = 1 << min(length, tableBits);
  let last: u32 = (1 << length) - 1;
  while (length <= tableBits) {
    while (count != 0) {
      put(kind, table, code, entryOf(kind, meaning, <u32>load<u16>(sorted), length));
      sorted += 2;
      count--;
      if (code == last) {
        while (size < tableSize) {
          memory.copy(table + (<usize>size << shift), table, <usize>size << shift);
          size <<= 1;
        }
        return true;
      }
      const bit: u32 = 1 << (31 - clz(code ^ last));
      code = (code & (bit - 1)) | bit;
    }
    length++;
    if (length <= tableBits) {
      memory.copy(table + (<usize>size << shift), table, <usize>size << shift);
      size <<= 1;
    }
    last = (1 << length) - 1;
    count = load<u32>(COUNTS + (length << 2));
  }

  // Codes longer than the table: an entry of the table points to a subtable of what follows.
  const tableMask: u32 = tableSize - 1;
  let end: u32 = tableSize;
  let start: u32 = 0;
  let prefix: u32 = 0xffffffff;
  while (true) {
    while (count == 0) {
      count = load<u32>(COUNTS + (++length << 2));
    }
    last = (1 << length) - 1;
    if ((code & tableMask) != prefix) {
      prefix = code & tableMask;
      start = end;
      let bits: u32 = length - tableBits;
      let used: u32 = count;
      while (used < <u32>1 << bits) {
        bits++;
        used = (used << 1) + load<u32>(COUNTS + ((tableBits + bits) << 2));
      }
      end = start + (1 << bits);
      if (kind == KIND_DISTANCE) {
        put(kind, table, prefix, EXCEPTIONAL_DISTANCE | SUBTABLE_DISTANCE | (<u64>start << 16) | (<u64>bits << 8) | <u64>tableBits);
      } else {
        put(kind, table, prefix, <u64>(EXCEPTIONAL | SUBTABLE | (start << 16) | (bits << 8) | tableBits));
      }
    }
    const entry = entryOf(kind, meaning, <u32>load<u16>(sorted), length - tableBits);
    sorted += 2;
    const stride: u32 = 1 << (length - tableBits);
    for (let i = start + (code >> tableBits); i < end; i += stride) put(kind, table, i, entry);
    if (code == last) return true;
    const bit: u32 = 1 << (31 - clz(code ^ last));
    code = (code & (bit - 1)) | bit;
    count--;
  }
  return true;
}
