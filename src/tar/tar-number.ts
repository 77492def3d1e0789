import type { TarTime } from "./tar-entry.ts";

const SPACE = 0x20;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const DIGIT_0 = 0x30;
const INT64_DIGITS = 19;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const SECOND_NS = 1_000_000_000;

/**
 * Octal field, spaces and NULs around it allowed, blank is 0; undefined when it is no number. Header
 * fields are at most 12 bytes, so the result is exact.
 */
export function parseOctal(block: Uint8Array, start: number, end: number): number | undefined {
  let first = start;
  let last = end;
  while (first < last && isBlank(block[first])) {
    first++;
  }
  while (last > first && isBlank(block[last - 1])) {
    last--;
  }
  let value = 0;
  for (let at = first; at < last; at++) {
    const byte = block[at] ?? 0;
    if (byte === 0) {
      break;
    }
    const digit = byte - DIGIT_0;
    if (digit < 0 || digit > 7) {
      return undefined;
    }
    value = value * 8 + digit;
  }
  return value;
}

/**
 * Numeric header field: octal, or GNU base-256 (two's complement, big-endian) when the first bit is
 * set; undefined when it is neither or does not fit 64 bits.
 */
export function parseNumeric(block: Uint8Array, start: number, end: number): bigint | undefined {
  const lead = block[start] ?? 0;
  if ((lead & 0x80) === 0) {
    const value = parseOctal(block, start, end);
    return value === undefined ? undefined : BigInt(value);
  }
  const inverse = (lead & 0x40) === 0 ? 0x00 : 0xff;
  let value = BigInt((lead ^ inverse) & 0x7f);
  for (let at = start + 1; at < end; at++) {
    value = (value << 8n) | BigInt((block[at] ?? 0) ^ inverse);
  }
  if (value > INT64_MAX) {
    return undefined;
  }
  return inverse === 0 ? value : ~value;
}

/** Decimal integer as pax records and sparse maps hold it: a sign, then digits; undefined outside int64. */
export function parseDecimal(text: Uint8Array): bigint | undefined {
  let at = text[0] === MINUS || text[0] === PLUS ? 1 : 0;
  if (at === text.length) {
    return undefined;
  }
  while (at < text.length - 1 && text[at] === DIGIT_0) {
    at++;
  }
  // Checked before the conversion: a hostile record may hold a megabyte of digits.
  if (text.length - at > INT64_DIGITS) {
    return undefined;
  }
  let digits = "";
  for (; at < text.length; at++) {
    const digit = (text[at] ?? 0) - DIGIT_0;
    if (digit < 0 || digit > 9) {
      return undefined;
    }
    digits += digit;
  }
  const value = text[0] === MINUS ? -BigInt(digits) : BigInt(digits);
  return value < INT64_MIN || value > INT64_MAX ? undefined : value;
}

/**
 * Pax time: decimal seconds, optionally a dot and digits. Digits past nanoseconds are cut, and the
 * fraction takes the sign of the seconds. Undefined when malformed.
 */
export function parsePaxTime(text: Uint8Array): TarTime | undefined {
  const dot = text.indexOf(DOT);
  const seconds = parseDecimal(dot < 0 ? text : text.subarray(0, dot));
  if (seconds === undefined) {
    return undefined;
  }
  let nanoseconds = 0;
  let scale = SECOND_NS / 10;
  for (let at = dot < 0 ? text.length : dot + 1; at < text.length; at++) {
    const digit = (text[at] ?? 0) - DIGIT_0;
    if (digit < 0 || digit > 9) {
      return undefined;
    }
    if (scale >= 1) {
      nanoseconds += digit * scale;
      scale /= 10;
    }
  }
  if (text[0] === MINUS && nanoseconds > 0) {
    return { seconds: BigInt.asIntN(64, seconds - 1n), nanoseconds: SECOND_NS - nanoseconds };
  }
  return { seconds, nanoseconds };
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === 0;
}
