/** Where words of a description begin, behind a name that is set apart by this many spaces. */
const HEAD = /^ *(?:\S.*? {4,})?/;
const USAGE = "USAGE ";
/** A column for descriptions that is narrower than this is hard to read. */
const MIN_ROOM = 24;
const NARROW_MARGIN = 4;

/** Spaces, styles, and places where a list of choices may break. */
const PIECES = /( +|\u001b\[[\d;]*m|(?<=\|))/;

/**
 * Breaks lines that are wider than `width` terminal columns at spaces, and puts what follows below the
 * description that it belongs to. Styles survive; a word that is too long stays whole.
 */
export function wrapText(text: string, width: number): string {
  return text
    .split("\n")
    .map((line) => (Bun.stringWidth(line) <= width ? line : wrapLine(line, width)))
    .join("\n");
}

function wrapLine(line: string, width: number): string {
  const margin = marginOf(Bun.stripANSI(line), width);
  let wrapped = "";
  let used = 0;
  let space = "";
  // Of the word that comes.
  let styles = "";
  for (const piece of line.split(PIECES)) {
    if (piece.startsWith("\u001b")) {
      if (space === "") wrapped += piece;
      else styles += piece;
    } else if (piece.trim() === "") {
      space += piece;
    } else {
      const size = Bun.stringWidth(piece);
      const isFull = used > margin && used + space.length + size > width;
      wrapped += isFull ? `\n${" ".repeat(margin)}` : space;
      used = isFull ? margin : used + space.length;
      wrapped += styles + piece;
      used += size;
      space = "";
      styles = "";
    }
  }
  return wrapped + styles;
}

function marginOf(visible: string, width: number): number {
  if (visible.startsWith(USAGE)) return USAGE.length;
  const margin = HEAD.exec(visible)?.[0].length ?? 0;
  return width - margin < MIN_ROOM ? Math.min(margin, NARROW_MARGIN) : margin;
}
