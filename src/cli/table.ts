const MIN_WIDTH = 8;
const PADDING = 4;

/**
 * Lines of aligned columns, byte for byte as the Go tool prints its lists (tabwriter with minimal
 * width 8, padding 4, spaces, every cell ended by a tab): also the last cell of a line is padded.
 * https://pkg.go.dev/text/tabwriter. All rows have equally many cells; make names safe beforehand.
 */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? MIN_WIDTH, lengthOf(cell) + PADDING);
    }
  }
  let text = "";
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      text += cell + " ".repeat((widths[column] ?? 0) - lengthOf(cell));
    }
    text += "\n";
  }
  return text;
}

/** tabwriter counts code points, not terminal columns. */
function lengthOf(cell: string): number {
  let length = 0;
  for (const _ of cell) length += 1;
  return length;
}
