import type { FileRun, LayerTable } from "../tree/layer-table.ts";

export type SeekTarget = "data" | "hole";

const run: FileRun = { tarStart: 0, length: 0, isHole: false };

/**
 * Where the next data or hole of a regular file begins, at `offset` (below its size) or behind it; the
 * end of the file counts as a hole. undefined: there is no data any more.
 */
export function seekFile(
  table: LayerTable,
  entry: number,
  { offset, target }: { readonly offset: number; readonly target: SeekTarget },
): number | undefined {
  const size = table.sizeOf(entry);
  for (let at = offset; at < size; at += run.length) {
    table.run(entry, at, run);
    if (run.isHole === (target === "hole")) return at;
  }
  return target === "hole" ? size : undefined;
}
