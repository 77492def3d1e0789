const MIN_WIDTH = 8;
const PADDING = 4;

/**
 * A table as the Go tool's text/tabwriter prints it: each column as wide as its widest cell and four
 * spaces, at least eight; the last one too, so that lines end in spaces.
 */
export function formatTabTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? MIN_WIDTH, widthOf(cell) + PADDING);
    }
  }
  return rows
    .map((row) => `${row.map((cell, column) => pad(cell, widths[column] ?? 0)).join("")}\n`)
    .join("");
}

function pad(cell: string, width: number): string {
  return cell + " ".repeat(Math.max(0, width - widthOf(cell)));
}

// tabwriter counts characters, whatever their width on a screen.
function widthOf(cell: string): number {
  return [...cell].length;
}
