const SIZE = /^(\d{1,16}(?:\.\d{1,9})?)\s*([kmgt]?)i?b$/i;
const POWERS = ["", "k", "m", "g", "t"];

/**
 * A number and `b`, `kb`, `mb`, `gb` or `tb` (`KiB` and so on are the same: all are powers of 1024),
 * in any case, with fractions: `8mb`, `1.5GB`. Empty and `0` are 0. `undefined` when it is no size.
 */
export function parseSize(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed === "0") return 0;
  const [, number = "", prefix = ""] = SIZE.exec(trimmed) ?? [];
  if (number === "") return undefined;
  const bytes = Math.floor(Number(number) * 1024 ** POWERS.indexOf(prefix.toLowerCase()));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
