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
