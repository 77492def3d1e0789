import { SociError } from "../errors.ts";

const PREFIXES = ["", "k", "m", "g", "t", "p"];
const BYTE_SIZE = /^(\d{1,20})(?:\.(\d{1,9}))?([kmgtp]?)(i?)(b?)$/i;

/**
 * Parses a number of bytes: `4194304`, `64k`, `4MiB`, `1.5G`, `10MB`. A prefix alone or with `iB` is
 * a power of 1024, with `B` a power of 1000, as in GNU coreutils; case does not matter.
 * @throws invalid-argument
 */
export function parseByteSize(text: string): number {
  const match = BYTE_SIZE.exec(text);
  const [, whole = "", fraction = "", prefix = "", binary = "", unit = ""] = match ?? [];
  if (match === null || (prefix === "" && binary !== "")) {
    throw new SociError(
      "invalid-argument",
      `Cannot parse size ${JSON.stringify(text)}: want a number of bytes as in 4194304, 64k, 4MiB or 10MB`,
    );
  }
  const base = unit !== "" && binary === "" ? 1000n : 1024n;
  const power = BigInt(PREFIXES.indexOf(prefix.toLowerCase()));
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(whole + fraction) * base ** power;
  if (scaled % scale !== 0n) {
    throw new SociError(
      "invalid-argument",
      `Cannot parse size ${JSON.stringify(text)}: is not a whole number of bytes`,
    );
  }
  const bytes = scaled / scale;
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new SociError(
      "invalid-argument",
      `Cannot parse size ${JSON.stringify(text)}: is ${bytes} bytes, want 2^53-1 at most`,
    );
  }
  return Number(bytes);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Bytes for people, in powers of 1024 with one decimal: `512 B`, `4.0 MiB`. */
export function formatByteSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1023.95 and more would round up to four digits and a half: it belongs to the next unit.
  while (value >= (unit === 0 ? 1024 : 1023.95) && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Bytes as a user may type them back: `4MiB`, `1000`. */
export function byteSizeFlagText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value > 0 && value % 1024 === 0 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? String(value) : `${value}${UNITS[unit]}`;
}
