import type { CliIo } from "./cli-io.ts";

const BLOCKS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;
const ASCII = [" ", ".", ":", "-", "=", "+", "*", "#", "@"] as const;

/** A character a cell, the higher the more of it is covered (0 to 1): a space only where nothing is, the highest only where all is. */
export function coverageBar(
  covered: Iterable<number>,
  { unicode }: { readonly unicode: boolean },
): string {
  const levels = unicode ? BLOCKS : ASCII;
  let bar = "";
  for (const share of covered) bar += levels[coverageLevel(share, levels.length - 1)] ?? "";
  return bar;
}

/** 0 for nothing, `full` for all, and what lies between for the rest. */
export function coverageLevel(share: number, full: number): number {
  if (share <= 0) return 0;
  // Sums of parts come out a little short.
  if (share > 1 - 1e-9) return full;
  return Math.min(full - 1, Math.max(1, Math.round(share * full)));
}

/** Whether the user's locale can show more than ASCII; a name for it comes first in this order, as in setlocale(3). */
export function usesUnicode({ env }: Pick<CliIo, "env">): boolean {
  const locale = [env["LC_ALL"], env["LC_CTYPE"], env["LANG"]].find((name) => (name ?? "") !== "");
  return locale === undefined || /utf-?8/i.test(locale);
}
