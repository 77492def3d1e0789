import { formatByteSize } from "./byte-size.ts";
import { formatDuration } from "./duration.ts";
import { safeText } from "./safe-text.ts";

export interface ProgressState {
  readonly name: string;
  readonly bytes: number;
  /** `undefined` while unknown. */
  readonly totalBytes: number | undefined;
  /** Bytes a second; `undefined` while unknown. */
  readonly rate: number | undefined;
}

const MAX_NAME_COLUMNS = 40;

/** One line, at most `columns - 1` wide (a full line would wrap): name, bytes, total, rate, time left. */
export function formatProgressLine(
  { name, bytes, totalBytes, rate }: ProgressState,
  { columns }: { readonly columns: number },
): string {
  const parts = [
    totalBytes === undefined
      ? formatByteSize(bytes)
      : `${formatByteSize(bytes)} / ${formatByteSize(totalBytes)}`,
  ];
  if (totalBytes !== undefined && totalBytes > 0) {
    parts.push(`${Math.min(100, Math.floor((bytes / totalBytes) * 100))}%`);
  }
  if (rate !== undefined) parts.push(`${formatByteSize(Math.max(0, rate))}/s`);
  if (rate !== undefined && rate >= 1 && totalBytes !== undefined && totalBytes > bytes) {
    parts.push(`ETA ${formatDuration(((totalBytes - bytes) / rate) * 1000)}`);
  }
  const width = Math.max(1, columns - 1);
  const figures = parts.join("  ");
  const nameWidth = Math.min(MAX_NAME_COLUMNS, width - figures.length - 2);
  const shownName = cut(safeText(name), Math.max(0, nameWidth));
  return cut(shownName === "" ? figures : `${shownName}  ${figures}`, width);
}

/** The first `columns` terminal columns of `text`, the last one an ellipsis where something is cut. */
function cut(text: string, columns: number): string {
  if (Bun.stringWidth(text) <= columns) return text;
  let kept = "";
  let used = 1;
  for (const character of text) {
    used += Bun.stringWidth(character);
    if (used > columns) break;
    kept += character;
  }
  return columns < 1 ? "" : `${kept}…`;
}
