import type { Figure, RowReport, SideReport } from "./row-report.ts";
import { medianOf, minimumOf } from "./statistics.ts";

const MiB = 1024 * 1024;
const HEADINGS = ["side", "wall min", "median", "CPU min", "median", "peak RSS"];

/** A row as text: a table of its sides, its figures beside what was asked of them, and notes. */
export function formatRow(row: RowReport): string {
  const lines = [`== ${row.name}: ${row.title}`, `   ${row.input}`];
  if (row.sides.length > 0) lines.push(...table([HEADINGS, ...row.sides.map(cellsOf)]));
  const width = Math.max(0, ...row.figures.map(({ what }) => what.length));
  lines.push(...row.figures.map((figure) => `   ${formatFigure(figure, width)}`));
  for (const { label, includes } of row.sides) lines.push(`   ${label}: ${includes}`);
  for (const note of row.notes ?? []) lines.push(`   ${note}`);
  return `${lines.join("\n")}\n`;
}

function cellsOf({ label, samples }: SideReport): string[] {
  const walls = samples.map(({ wallSeconds }) => wallSeconds);
  const cpus = samples.map(({ cpuSeconds }) => cpuSeconds);
  const peaks = samples.flatMap(({ maxRssBytes }) => maxRssBytes ?? []);
  return [
    label,
    ...[minimumOf(walls), medianOf(walls), minimumOf(cpus), medianOf(cpus)].map(
      (seconds) => `${seconds.toFixed(3)} s`,
    ),
    peaks.length === 0 ? "" : `${(Math.max(...peaks) / MiB).toFixed(1)} MiB`,
  ];
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = HEADINGS.map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  return rows.map((cells) => {
    const padded = cells.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
    );
    return `   ${padded.join("  ").trimEnd()}`;
  });
}

function formatFigure({ what, value, unit, target }: Figure, width: number): string {
  const text = `${what.padEnd(width)}  ${formatValue(value)} ${unit}`;
  if (target === undefined) return text;
  const relation = target.isLimit === true ? "at most" : "at least";
  return `${text}  (${relation} ${target.floor}, aim ${target.aim})`;
}

function formatValue(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}
