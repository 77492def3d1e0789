import type { CliIo } from "./cli-io.ts";
import { wantsColor } from "./wants-color.ts";

/** Styles of text that is fit for a terminal already. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "blue" | "cyan";

/** Styles a text, or leaves it as it is where there are no colours. */
export type Paint = (style: Style, text: string) => string;

const CODES: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
};

export const NO_PAINT: Paint = (_style, text) => text;

/** How to style what goes to standard output: not at all but on a terminal, without NO_COLOR. */
export function paintOf(io: Pick<CliIo, "env" | "stdout">): Paint {
  return wantsColor(io, io.stdout) ? paint : NO_PAINT;
}

function paint(style: Style, text: string): string {
  if (text === "") return "";
  const [on, off] = CODES[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}
