import { coverageBar } from "../bars.ts";
import { formatByteSize } from "../byte-size.ts";
import type { Paint } from "../colors.ts";
import { formatTable } from "../table.ts";
import { coverage, type LayerMap, type MapDirectory, type MapSpan } from "./layer-map.ts";

export interface MapTextOptions {
  readonly paint: Paint;
  /** Columns that a line may have. */
  readonly width: number;
  /** Whether characters beyond ASCII can be shown. */
  readonly unicode: boolean;
}

const MAX_NAME = 36;
const MIN_CELLS = 20;
const GAP = "  ";
const MAX_STRADDLERS = 10;

/** What a layer is, in a few lines. */
export function formatMapSummary(map: LayerMap, paint: Paint): string {
  const { spans, straddlers, localSpans } = map;
  const straddled = straddlers.reduce((sum, { size }) => sum + size, 0);
  const facts = [
    ["zTOC", `${map.ztoc} (${formatByteSize(map.ztocSize)})`],
    ["layer", map.layer ?? "not known on this host"],
    [
      "size",
      `${formatByteSize(map.compressedSize)} (${map.compression}), unpacked ${formatByteSize(map.uncompressedSize)}`,
    ],
    ["spans", `${spans.length} (span size ${formatByteSize(map.spanSize)})`],
    [
      "files",
      `${map.fileCount} entries; in more than one span lie ${straddlers.length} (${formatByteSize(straddled)})`,
    ],
    [
      "local",
      localSpans === undefined
        ? "there is no layer cache on this host"
        : `${localSpans} of ${spans.length} spans are in the cache`,
    ],
  ] as const;
  return formatTable(facts.map(([name, text]) => [paint("dim", name), text]));
}

/** The spans one by one: where they lie in the blob, and what is in them. */
export function formatSpanTable({ spans }: LayerMap, paint: Paint): string {
  const head = ["SPAN", "IN THE BLOB AT", "SIZE", "UNPACKED", "FILES", "STRADDLING", "LOCAL"];
  const rows = spans.map((span) => [
    String(span.id),
    String(span.compressedStart),
    formatByteSize(span.compressedEnd - span.compressedStart),
    formatByteSize(Math.max(0, span.uncompressedEnd - span.uncompressedStart)),
    String(span.files),
    String(span.straddlers),
    span.isLocal === undefined ? "-" : span.isLocal ? paint("green", "yes") : "no",
  ]);
  return formatTable([head.map((cell) => paint("bold", cell)), ...rows], {
    right: [0, 1, 2, 3, 4, 5],
  });
}

/** The picture: the tar from left to right, a line for its spans, one for what is local, one a directory. */
export function formatMapPicture(map: LayerMap, { paint, width, unicode }: MapTextOptions): string {
  const { directories, spans, localSpans, uncompressedSize: size } = map;
  const { cells, line } = frameOf(map, { width, unicode });
  const bar = (ranges: readonly number[]): string =>
    coverageBar(coverage(ranges, { cells, size }), { unicode });
  const lines = [
    line({ name: "", bar: axis(size, cells), edge: " ", figures: FIGURES }),
    line({ name: "spans", bar: spanLine(spans, { cells, size, unicode }) }),
    ...(localSpans === undefined
      ? []
      : [line({ name: "local", bar: paint("green", bar(localRanges(spans))) })]),
    line({ name: "straddling", bar: paint("yellow", straddleLine(map, { cells, unicode })) }),
    ...directories.map((directory) => {
      const { name, ranges } = directory;
      return line({ name, bar: paint("cyan", bar(ranges)), figures: figuresOf(directory) });
    }),
  ];
  return `${lines.join("\n")}\n${formatStraddlers(map, width)}`;
}

interface PictureLine {
  readonly name: string;
  readonly bar: string;
  /** At both ends of the bar. */
  readonly edge?: string;
  readonly figures?: readonly string[];
}

const FIGURES = ["SIZE", "FILES", "SPANS"];

/** How wide the parts of a line are: a name, a bar of so many cells, and figures where there is room. */
function frameOf(
  { directories }: LayerMap,
  { width, unicode }: Pick<MapTextOptions, "width" | "unicode">,
): { readonly cells: number; line(parts: PictureLine): string } {
  const longest = Math.max(...directories.map(({ name }) => Bun.stringWidth(name)), 0);
  const room = Math.min(MAX_NAME, Math.floor(width / 3));
  const label = Math.max("straddling".length, Math.min(longest, room));
  const figureWidths = FIGURES.map((head, column) =>
    directories.reduce(
      (most, directory) => Math.max(most, figuresOf(directory)[column]?.length ?? 0),
      head.length,
    ),
  );
  const figuresWidth = figureWidths.reduce((sum, one) => sum + GAP.length + one, 0);
  const wide = width - label - 2;
  const hasFigures = wide - figuresWidth >= MIN_CELLS;
  const cells = Math.max(MIN_CELLS, hasFigures ? wide - figuresWidth : wide);
  const standard = unicode ? "│" : "|";
  return {
    cells,
    line: ({ name, bar, edge = standard, figures = [] }) => {
      const shown = endOf(name, label, unicode);
      const space = " ".repeat(Math.max(0, label - Bun.stringWidth(shown)));
      const numbers = hasFigures
        ? figures.map((figure, i) => GAP + figure.padStart(figureWidths[i] ?? 0)).join("")
        : "";
      return `${shown}${space}${edge}${bar}${edge}${numbers}`.trimEnd();
    },
  };
}

function figuresOf({ bytes, files, spans }: MapDirectory): readonly string[] {
  return [formatByteSize(bytes), String(files), String(spans)];
}

/** Start and end in turn of the spans that are local, neighbours as one. */
export function localRanges(spans: readonly MapSpan[]): readonly number[] {
  const ranges: number[] = [];
  for (const { isLocal, uncompressedStart, uncompressedEnd } of spans) {
    if (isLocal !== true || uncompressedEnd <= uncompressedStart) continue;
    if (ranges.at(-1) === uncompressedStart) ranges[ranges.length - 1] = uncompressedEnd;
    else ranges.push(uncompressedStart, uncompressedEnd);
  }
  return ranges;
}

/** Numbers of the spans at whose start some file goes on that began before. */
export function straddledBorders({ spans, straddlers }: LayerMap): readonly number[] {
  const steps = new Float64Array(spans.length + 1);
  for (const { firstSpan, lastSpan } of straddlers) {
    steps[firstSpan + 1] = (steps[firstSpan + 1] ?? 0) + 1;
    steps[lastSpan + 1] = (steps[lastSpan + 1] ?? 0) - 1;
  }
  let depth = 0;
  return spans.flatMap(({ id }) => {
    depth += steps[id] ?? 0;
    return depth > 0 ? [id] : [];
  });
}

function formatStraddlers({ straddlers }: LayerMap, width: number): string {
  if (straddlers.length === 0) return "";
  const shown = straddlers.toSorted((a, b) => b.size - a.size).slice(0, MAX_STRADDLERS);
  const rows = shown.map(({ name, size, firstSpan, lastSpan }) => [
    `${firstSpan}-${lastSpan}`,
    formatByteSize(size),
    name,
  ]);
  const more = straddlers.length - shown.length;
  const table = formatTable([["SPANS", "SIZE", "IN MORE THAN ONE SPAN"], ...rows], {
    right: [0, 1],
    maxWidth: width,
  });
  return `\n${table}${more > 0 ? `and ${more} more\n` : ""}`;
}

/** The end of a path tells it from others: it is cut at its start. */
function endOf(path: string, width: number, unicode: boolean): string {
  if (Bun.stringWidth(path) <= width) return path;
  const characters = [...path].reverse();
  let shown = "";
  for (const character of characters) {
    if (Bun.stringWidth(character + shown) > width - 1) break;
    shown = character + shown;
  }
  return `${unicode ? "…" : "~"}${shown}`;
}

/** Sizes at the left, in the middle and at the right, where there is room. */
function axis(size: number, cells: number): string {
  const [left, right] = ["0", formatByteSize(size)];
  const middle = formatByteSize(size / 2);
  const at = Math.round(cells / 2 - middle.length / 2);
  if (cells < left.length + right.length + middle.length + 6) {
    return left.padEnd(Math.max(0, cells - right.length)) + right;
  }
  return (left.padEnd(at) + middle).padEnd(cells - right.length) + right;
}

interface LineOptions {
  readonly cells: number;
  readonly size: number;
  readonly unicode: boolean;
}

/** A mark where a span starts, another where several do. */
function spanLine(spans: readonly MapSpan[], { cells, size, unicode }: LineOptions): string {
  const [none, one, several] = unicode ? ["─", "┬", "┼"] : ["-", "+", "#"];
  const starts = new Uint32Array(cells);
  for (const { uncompressedStart } of spans) {
    const cell = cellOf(uncompressedStart, { cells, size });
    starts[cell] = (starts[cell] ?? 0) + 1;
  }
  return Array.from(starts, (count) => (count === 0 ? none : count === 1 ? one : several)).join("");
}

function straddleLine(
  map: LayerMap,
  { cells, unicode }: Pick<LineOptions, "cells" | "unicode">,
): string {
  const marks = new Set(
    straddledBorders(map).map((id) =>
      cellOf(map.spans[id]?.uncompressedStart ?? 0, { cells, size: map.uncompressedSize }),
    ),
  );
  const mark = unicode ? "▲" : "^";
  return Array.from({ length: cells }, (_, cell) => (marks.has(cell) ? mark : " ")).join("");
}

function cellOf(offset: number, { cells, size }: Pick<LineOptions, "cells" | "size">): number {
  if (size <= 0) return 0;
  return Math.min(cells - 1, Math.max(0, Math.floor((offset / size) * cells)));
}
