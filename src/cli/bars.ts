import type { CliIo } from "./cli-io.ts";

const BLOCKS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;
const ASCII = [" ", ".", ":", "-", "=", "+", "*", "#", "@"] as const;

/** A character a cell, the higher the more of it is covered (0 to 1); only what is quite empty is a space. */
export function coverageBar(
  covered: Iterable<number>,
  { unicode }: { readonly unicode: boolean },
): string {
  const levels = unicode ? BLOCKS : ASCII;
  let bar = "";
  for (const share of covered)
    bar += levels[Math.ceil(share * 8 - 1e-9)] ?? levels[share > 0 ? 1 : 0];
  return bar;
}

/** Whether the user's locale can show more than ASCII; a name for it comes first in this order, as in setlocale(3). */
export function usesUnicode({ env }: Pick<CliIo, "env">): boolean {
  const locale = [env["LC_ALL"], env["LC_CTYPE"], env["LANG"]].find((name) => (name ?? "") !== "");
  return locale === undefined || /utf-?8/i.test(locale);
}
