export interface TableOptions {
  /** Columns whose cells end at one edge, as numbers do; counted from 0. */
  readonly right?: readonly number[];
  /** Terminal columns that no line goes beyond: what is too wide of the last column ends in `…`. */
  readonly maxWidth?: number | undefined;
}

const GAP = "  ";

/**
 * Rows as lines: columns two spaces apart, each as wide as its widest cell on a screen. Cells may be
 * styled, and are fit for a terminal already. Lines end without spaces.
 */
export function formatTable(
  rows: readonly (readonly string[])[],
  { right = [], maxWidth }: TableOptions = {},
): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, Bun.stringWidth(cell));
    }
  }
  return rows
    .map((row) => {
      const cells = row.map((cell, column) =>
        pad(cell, widths[column] ?? 0, { toRight: right.includes(column) }),
      );
      const line = cells.join(GAP).trimEnd();
      return `${maxWidth === undefined ? line : cutToWidth(line, maxWidth)}\n`;
    })
    .join("");
}

/** The text, or as much of it as fits so many terminal columns, with `…` at its end. Styles survive. */
export function cutToWidth(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  const room = Math.max(0, width - 1);
  let shown = "";
  let used = 0;
  // Escape sequences of our own styles take no room and are all kept, so that none stays open.
  for (const piece of text.split(STYLES)) {
    if (piece.startsWith("\u001b")) {
      shown += piece;
      continue;
    }
    if (used > room) continue;
    for (const character of piece) {
      const next = used + Bun.stringWidth(character);
      if (next > room) {
        if (width > 0) shown += "…";
        used = Number.POSITIVE_INFINITY;
        break;
      }
      shown += character;
      used = next;
    }
  }
  return shown;
}

const STYLES = /(\u001b\[\d+m)/;

function pad(cell: string, width: number, { toRight }: { readonly toRight: boolean }): string {
  const space = " ".repeat(Math.max(0, width - Bun.stringWidth(cell)));
  return toRight ? space + cell : cell + space;
}
