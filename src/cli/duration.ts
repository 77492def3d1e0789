import { SociError } from "../errors.ts";

const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const DURATION = /^(?:\d{1,12}(?:\.\d{1,6})?(?:ms|s|m|h|d))+$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Parses `500ms`, `30s`, `1m30s`, `1.5h`, `7d` or `0` into milliseconds. @throws invalid-argument */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  if (!DURATION.test(text)) {
    throw new SociError(
      "invalid-argument",
      `Cannot parse duration ${JSON.stringify(text)}: want a number with a unit as in 500ms, 30s, 1m30s, 2h or 7d`,
    );
  }
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(DURATION_PART)) {
    totalMs += Number(amount) * (MS_PER_UNIT[unit ?? ""] ?? Number.NaN);
  }
  if (totalMs > Number.MAX_SAFE_INTEGER) {
    throw new SociError(
      "invalid-argument",
      `Cannot parse duration ${JSON.stringify(text)}: is too long, want 2^53-1 ms at most`,
    );
  }
  return Math.round(totalMs);
}

/** A duration rounded to seconds as Go prints it: `0s`, `45s`, `2m0s`, `1h0m5s`. */
export function formatDuration(ms: number): string {
  const total = Math.round(Math.abs(ms) / 1000);
  const sign = ms < 0 && total > 0 ? "-" : "";
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const seconds = total % 60;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  if (minutes > 0) return `${sign}${minutes}m${seconds}s`;
  return `${sign}${seconds}s`;
}
