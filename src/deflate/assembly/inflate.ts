// Raw inflate (RFC 1951) that can stop at every block boundary and start at any bit.
//
// The host fills INPUT, calls run() with pointers, and reads OUTPUT. Between calls less than a byte
// of input is held back, so that the bit position is always exact. There is one decode loop and no
// slow twin of it: short of 32 readable bytes of input or 300 writable bytes of output it returns to
// the host, which at the end of the input pads with zeros.
import {
  DISTANCE_MEANING,
  DISTANCE_TABLE,
  LENGTHS,
  LITLEN_MEANING,
  LITLEN_TABLE,
  PRECODE_TABLE,
  REPEAT_MASKS,
  REPEAT_STEPS,
} from "./layout";
import {
  BAD_BLOCK_TYPE, BAD_DISTANCE_CODE, BAD_LITLEN_CODE, BAD_PRECODE, BAD_REPEAT, BAD_STORED_LENGTH,
  BAD_SYMBOL, BAD_SYMBOL_COUNT, BOUNDARY, DISTANCE_TOO_FAR, END, NEED_INPUT, NO_END_OF_BLOCK,
  OUTPUT_FULL,
} from "./status";
import {
  buildTable,
  END_OF_BLOCK,
  EXCEPTIONAL,
  KIND_DISTANCE,
  KIND_LITLEN,
  KIND_PRECODE,
  SUBTABLE,
  SUBTABLE_DISTANCE,
} from "./huffman";
export { initialise } from "./meanings";

const LITLEN_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 8;
const LITERAL: u32 = 0xc0;

/** Bytes that a header can take, and those that one turn of the loop may read. */
const HEADER_BYTES: u32 = 700;
const LOOP_INPUT: u32 = 32;

const BETWEEN_BLOCKS: i32 = 0;
const IN_STORED: i32 = 1;
const IN_CODES: i32 = 2;
const AFTER_LAST: i32 = 3;

let state: i32 = BETWEEN_BLOCKS;
let lastBlock: bool = false;
let storedLeft: u32 = 0;
let fixedTables: bool = false;

// The bit buffer between calls; inside the loop it lives in locals. Only the low 6 bits of bitCount count.
let bitBuffer: u64 = 0;
let bitCount: u32 = 0;
let input: usize = 0;
let output: usize = 0;

export function inputPointer(): usize {
  return input;
}
export function outputPointer(): usize {
  return output;
}
export function heldBits(): u32 {
  return bitCount;
}

/** Begins a raw deflate stream whose first `bits` (0 to 7) bits are the low bits of `value`. */
export function begin(bits: u32, value: u32): void {
  state = BETWEEN_BLOCKS;
  lastBlock = false;
  storedLeft = 0;
  bitBuffer = <u64>value;
  bitCount = bits;
}

/**
 * Decodes from [inFrom, inEnd) to [outFrom, outEnd). At most outEnd + OUTPUT_SLACK is written,
 * inEnd + 8 read. `history` is the lowest address that a match may reach. `lastInput`: nothing
 * follows inEnd but padding that the host put there. Stops at a block's end when the output pointer
 * is past `stopPast`.
 */
export function run(
  inFrom: usize,
  inEnd: usize,
  lastInput: bool,
  outFrom: usize,
  outEnd: usize,
  stopPast: usize,
  history: usize,
): i32 {
  input = inFrom;
  output = outFrom;
  while (true) {
    let stop: i32 = -1;
    if (state == IN_CODES) {
      stop = decodeCodes(inEnd, outEnd, history);
    } else if (state == IN_STORED) {
      stop = copyStored(inEnd, outEnd);
    } else if (state == AFTER_LAST) {
      return END;
    } else {
      if (!lastInput && inEnd - input < HEADER_BYTES) return NEED_INPUT;
      if (input > inEnd) return NEED_INPUT;
      stop = readHeader();
      if (stop >= 0) return stop;
      continue;
    }
    if (stop >= 0) return stop;
    // A block has ended.
    if (lastBlock) {
      state = AFTER_LAST;
      return END;
    }
    state = BETWEEN_BLOCKS;
    if (output > stopPast) return BOUNDARY;
  }
}

@inline
function refill(): void {
  bitBuffer |= load<u64>(input) << <u64>bitCount;
  input += 7 - ((bitCount >> 3) & 7);
  bitCount |= 56;
}

@inline
function take(count: u32): u32 {
  const value = <u32>bitBuffer & ((1 << count) - 1);
  bitBuffer >>= <u64>count;
  bitCount -= count;
  return value;
}

/** Gives whole unread bytes back to the input and clears what lies above the held bits. */
@inline
function giveBack(): void {
  bitCount &= 63;
  input -= bitCount >> 3;
  bitCount &= 7;
  bitBuffer &= (<u64>1 << <u64>bitCount) - 1;
}

/** Reads a block's header (RFC 1951, 3.2.3 to 3.2.7) and builds its tables. Returns an error or -1. */
function readHeader(): i32 {
  refill();
  lastBlock = take(1) != 0;
  const type = take(2);
  if (type == 0) {
    giveBack();
    bitBuffer = 0; // the rest of the byte is skipped
    bitCount = 0;
    const length = <u32>load<u16>(input);
    const complement = <u32>load<u16>(input + 2);
    input += 4;
    if (length != (complement ^ 0xffff)) return BAD_STORED_LENGTH;
    storedLeft = length;
    state = IN_STORED;
    return -1;
  }
  if (type == 3) {
    giveBack();
    return BAD_BLOCK_TYPE;
  }
  const stop = type == 1 ? buildFixed() : readDynamic();
  giveBack();
  state = IN_CODES;
  return stop;
}

function buildFixed(): i32 {
  if (fixedTables) return -1;
  memory.fill(LENGTHS, 8, 144);
  memory.fill(LENGTHS + 144, 9, 112);
  memory.fill(LENGTHS + 256, 7, 24);
  memory.fill(LENGTHS + 280, 8, 8);
  memory.fill(LENGTHS + 288, 5, 32);
  buildTable(LENGTHS, 288, KIND_LITLEN, LITLEN_MEANING, LITLEN_TABLE, LITLEN_BITS);
  buildTable(LENGTHS + 288, 32, KIND_DISTANCE, DISTANCE_MEANING, DISTANCE_TABLE, DISTANCE_BITS);
  fixedTables = true;
  return -1;
}

/** The order in which code length code lengths are sent, 5 bits each. */
@inline
function precodeOrder(i: u32): u32 {
  if (i < 3) return 16 + i;
  if (i == 3) return 0;
  const k = (i - 4) >> 1; // 8 7 9 6 10 5 11 4 12 3 13 2 14 1 15: pairs around 8
  return (i & 1) != 0 ? 7 - k : 8 + k;
}

function readDynamic(): i32 {
  fixedTables = false;
  const litlens = take(5) + 257;
  const distances = take(5) + 1;
  const precodes = take(4) + 4;
  if (litlens > 286 || distances > 30) return BAD_SYMBOL_COUNT;
  memory.fill(LENGTHS, 0, 19);
  for (let i: u32 = 0; i < precodes; i++) {
    if ((bitCount & 63) < 8) refill();
    store<u8>(LENGTHS + precodeOrder(i), <u8>take(3));
  }
  if (!buildTable(LENGTHS, 19, KIND_PRECODE, 0, PRECODE_TABLE, 7)) return BAD_PRECODE;

  const total = litlens + distances;
  let have: u32 = 0;
  while (have < total) {
    if ((bitCount & 63) < 16) refill();
    const entry = load<u32>(PRECODE_TABLE + ((<usize>bitBuffer & 127) << 2));
    if (entry == 0) return BAD_PRECODE;
    take(entry & 7);
    const symbol = entry >> 8;
    if (symbol < 16) {
      store<u8>(LENGTHS + have, <u8>symbol);
      have++;
      continue;
    }
    let value: u8 = 0;
    let count: u32;
    if (symbol == 16) {
      if (have == 0) return BAD_REPEAT;
      value = load<u8>(LENGTHS + have - 1);
      count = 3 + take(2);
    } else if (symbol == 17) {
      count = 3 + take(3);
    } else {
      count = 11 + take(7);
    }
    if (have + count > total) return BAD_REPEAT;
    memory.fill(LENGTHS + have, value, count);
    have += count;
  }
  if (load<u8>(LENGTHS + 256) == 0) return NO_END_OF_BLOCK;
  // Distances first: the litlen lengths in front of them stay untouched.
  if (!buildTable(LENGTHS + litlens, distances, KIND_DISTANCE, DISTANCE_MEANING, DISTANCE_TABLE, DISTANCE_BITS)) {
    return BAD_DISTANCE_CODE;
  }
  if (!buildTable(LENGTHS, litlens, KIND_LITLEN, LITLEN_MEANING, LITLEN_TABLE, LITLEN_BITS)) return BAD_LITLEN_CODE;
  return -1;
}

function copyStored(inEnd: usize, outEnd: usize): i32 {
  if (storedLeft == 0) return -1;
  if (input >= inEnd) return NEED_INPUT;
  const count = min(storedLeft, min(<u32>(inEnd - input), <u32>(outEnd - output)));
  memory.copy(output, input, count);
  input += count;
  output += count;
  storedLeft -= count;
  if (storedLeft == 0) return -1;
  return output >= outEnd ? OUTPUT_FULL : NEED_INPUT;
}

/** The decode loop. Returns a stop or an error, or -1 when the block has ended. */
function decodeCodes(inEnd: usize, outEnd: usize, history: usize): i32 {
  if (output >= outEnd) return OUTPUT_FULL;
  if (inEnd < input + LOOP_INPUT) return NEED_INPUT;
  let bb = bitBuffer;
  let bc = bitCount;
  let ip = input;
  let op = output;
  const ipLast = inEnd - LOOP_INPUT;
  let stop: i32 = NEED_INPUT;

  // At the top of the loop at least 56 bits are held, and `entry` is that of the next code.
  bb |= load<u64>(ip) << <u64>bc;
  ip += 7 - ((bc >> 3) & 7);
  bc |= 56;
  let entry = load<u32>(LITLEN_TABLE + ((<usize>bb & 0x7ff) << 2));
  while (ip <= ipLast && op < outEnd) {
    if (entry & LITERAL) {
      bb >>= <u64>entry;
      bc -= entry;
      store<u8>(op, entry >> 8);
      op++;
      entry = load<u32>(LITLEN_TABLE + ((<usize>bb & 0x7ff) << 2));
      if (entry & LITERAL) {
        bb >>= <u64>entry;
        bc -= entry;
        store<u8>(op, entry >> 8);
        op++;
        entry = load<u32>(LITLEN_TABLE + ((<usize>bb & 0x7ff) << 2));
        if (entry & LITERAL) {
          bb >>= <u64>entry;
          bc -= entry;
          store<u8>(op, entry >> 8);
          op++;
          entry = load<u32>(LITLEN_TABLE + ((<usize>bb & 0x7ff) << 2));
        }
      }
      bb |= load<u64>(ip) << <u64>bc;
      ip += 7 - ((bc >> 3) & 7);
      bc |= 56;
      if (entry & LITERAL) continue;
    }

    if (entry & EXCEPTIONAL) {
      if (entry & SUBTABLE) {
        bb >>= <u64>entry;
        bc -= entry;
        const within = <u32>bb & ((1 << ((entry >> 8) & 15)) - 1);
        entry = load<u32>(LITLEN_TABLE + (<usize>(((entry >> 16) & 0x1fff) + within) << 2));
        if (entry & LITERAL) {
          bb >>= <u64>entry;
          bc -= entry;
          store<u8>(op, entry >> 8);
          op++;
          bb |= load<u64>(ip) << <u64>bc;
          ip += 7 - ((bc >> 3) & 7);
          bc |= 56;
          entry = load<u32>(LITLEN_TABLE + ((<usize>bb & 0x7ff) << 2));
          continue;
        }
      }
      if (entry & EXCEPTIONAL) {
        if (entry & END_OF_BLOCK) {
          bb >>= <u64>entry;
          bc -= entry;
          stop = -1;
        } else {
          stop = BAD_SYMBOL;
        }
        break;
      }
    }

    let saved = bb;
    bb >>= <u64>entry;
    bc -= entry;
    const length: u32 = ((entry >> 16) & 0x1ff) + (<u32>(saved >> <u64>((entry >> 8) & 31)) & ((entry >> 25) & 31));
    let distanceEntry = load<u64>(DISTANCE_TABLE + ((<usize>bb & 0xff) << 3));
    if (<i64>distanceEntry < 0) {
      if (distanceEntry & SUBTABLE_DISTANCE) {
        bb >>= distanceEntry;
        bc -= <u32>distanceEntry;
        const within = <u32>bb & ((1 << (<u32>(distanceEntry >> 8) & 15)) - 1);
        distanceEntry = load<u64>(DISTANCE_TABLE + (<usize>((<u32>(distanceEntry >> 16) & 0xffff) + within) << 3));
      }
      if (<i64>distanceEntry < 0) {
        stop = BAD_SYMBOL;
        break;
      }
    }
    saved = bb;
    bb >>= distanceEntry;
    bc -= <u32>distanceEntry;
    const distance: u32 =
      (<u32>(distanceEntry >> 16) & 0xffff) + (<u32>(saved >> ((distanceEntry >> 8) & 63)) & <u32>(distanceEntry >> 32));
    let from: usize = op - distance;
    if (from < history) {
      stop = DISTANCE_TOO_FAR;
      break;
    }
    // The next entry is fetched before the copy: its latency hides behind the stores.
    bb |= load<u64>(ip) << <u64>bc;
    ip += 7 - ((bc >> 3) & 7);
    bc |= 56;
    entry = load<u32>(LITLEN_TABLE + ((<usize>bb & 0x7ff) << 2));

    const end: usize = op + length;
    if (distance >= 16) {
      // Two vectors at once whatever the length: a branch at 16 would be mispredicted more often.
      v128.store(op, v128.load(from));
      v128.store(op, v128.load(from, 16), 16);
      if (length > 32) {
        do {
          op += 32;
          from += 32;
          v128.store(op, v128.load(from));
          v128.store(op, v128.load(from, 16), 16);
        } while (op + 32 < end);
      }
    } else {
      const pattern = i8x16.swizzle(v128.load(from), v128.load(REPEAT_MASKS + (<usize>distance << 4)));
      const step = <usize>load<u8>(REPEAT_STEPS + distance);
      do {
        v128.store(op, pattern);
        op += step;
      } while (op < end);
    }
    op = end;
  }
  bitBuffer = bb;
  bitCount = bc;
  input = ip;
  output = op;
  giveBack();
  if (stop == NEED_INPUT && op >= outEnd) return OUTPUT_FULL;
  return stop;
}
