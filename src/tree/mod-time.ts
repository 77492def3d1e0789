import { SociError } from "../errors.ts";

/** Seconds since 1970, never before it, and nanoseconds 0 to 999,999,999. */
export interface ModTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export const EPOCH: ModTime = { seconds: 0, nanoseconds: 0 };

const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;

// containerd unpacks with a signed 64-bit count of nanoseconds and takes 1970 for anything outside it.
const MAX_SECONDS = 9_223_372_036;

/**
 * The time that a zTOC's modTime text names, as an unpacker would set it: 1970 when the text is empty
 * (a year that RFC 3339 cannot spell) or the time is before 1970 or after 2262. @throws data-loss
 */
export function parseModTime(text: string): ModTime {
  if (text === "") return EPOCH;
  const match = RFC3339.exec(text);
  if (match === null) {
    throw new SociError(
      "data-loss",
      `Cannot parse modification time ${JSON.stringify(text.slice(0, 64))}: want RFC 3339`,
    );
  }
  const [, year, month, day, hours, minutes, seconds, fraction = "", sign, zoneHours, zoneMinutes] =
    match;
  const date = new Date(0);
  // Not Date.UTC(): it takes the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hours), Number(minutes), Number(seconds));
  const zone = (Number(zoneHours ?? 0) * 60 + Number(zoneMinutes ?? 0)) * 60;
  const total = date.getTime() / 1000 - (sign === "-" ? -zone : zone);
  if (total < 0 || total > MAX_SECONDS) return EPOCH;
  return { seconds: total, nanoseconds: Number(fraction.padEnd(9, "0")) };
}

const ZERO = 0x30;
/** "2006-01-02T15:04:05" and a "Z"; a fraction goes in between. */
const WHOLE_SECONDS = 19;
const DAY_SECONDS = 86_400;

/** parseModTime() of bytes [start, end), without text on the way for what zTOCs hold. @throws data-loss */
export class ModTimeReader {
  #last = EPOCH;

  read(bytes: Uint8Array, start: number, end: number): ModTime {
    if (start === end) return EPOCH;
    const seconds = isUtc(bytes, start, end) ? secondsAt(bytes, start) : Number.NaN;
    const nanoseconds = nanosecondsAt(bytes, start + WHOLE_SECONDS, end - 1);
    if (Number.isNaN(seconds) || Number.isNaN(nanoseconds)) {
      return parseModTime(Buffer.from(bytes.subarray(start, end)).toString("utf8"));
    }
    if (seconds < 0 || seconds > MAX_SECONDS) return EPOCH;
    // Files that were packed together often have one time.
    if (seconds !== this.#last.seconds || nanoseconds !== this.#last.nanoseconds) {
      this.#last = { seconds, nanoseconds };
    }
    return this.#last;
  }
}

function isUtc(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    end - start > WHOLE_SECONDS &&
    bytes[start + 4] === 0x2d &&
    bytes[start + 7] === 0x2d &&
    bytes[start + 10] === 0x54 &&
    bytes[start + 13] === 0x3a &&
    bytes[start + 16] === 0x3a &&
    bytes[end - 1] === 0x5a
  );
}

/** NaN when something is no digit, or the month is none. */
function secondsAt(bytes: Uint8Array, start: number): number {
  const year = twoDigits(bytes, start) * 100 + twoDigits(bytes, start + 2);
  const month = twoDigits(bytes, start + 5);
  const day = twoDigits(bytes, start + 8);
  if (!(month >= 1 && month <= 12)) return Number.NaN;
  const hours = twoDigits(bytes, start + 11);
  const minutes = twoDigits(bytes, start + 14);
  const seconds = twoDigits(bytes, start + 17);
  const days = daysBefore(year, month) + day - 1;
  return days * DAY_SECONDS + hours * 3600 + minutes * 60 + seconds;
}

/** The fraction [start, end) with its point; NaN when it is none of one to nine digits. */
function nanosecondsAt(bytes: Uint8Array, start: number, end: number): number {
  if (start === end) return 0;
  if (end - start < 2 || end - start > 10 || bytes[start] !== 0x2e) return Number.NaN;
  let value = 0;
  for (let at = start + 1; at < end; at++) value = value * 10 + digit(bytes, at);
  return value * 10 ** (10 - (end - start));
}

function twoDigits(bytes: Uint8Array, at: number): number {
  return digit(bytes, at) * 10 + digit(bytes, at + 1);
}

function digit(bytes: Uint8Array, at: number): number {
  const value = (bytes[at] ?? 0) - ZERO;
  return value >= 0 && value <= 9 ? value : Number.NaN;
}

/**
 * Days from 1970 to the first of a month, in years that begin with March, so that a leap day is the
 * last. https://howardhinnant.github.io/date_algorithms.html#days_from_civil
 */
function daysBefore(year: number, month: number): number {
  const marchYear = month > 2 ? year : year - 1;
  const era = Math.floor(marchYear / 400);
  const yearOfEra = marchYear - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5);
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
