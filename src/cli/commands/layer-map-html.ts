import { coverageLevel } from "../bars.ts";
import { formatByteSize } from "../byte-size.ts";
import { coverage, type LayerMap, type MapDirectory, type MapSpan } from "./layer-map.ts";
import { localRanges, straddledBorders } from "./layer-map-text.ts";
import { MAP_STYLE } from "./layer-map-style.ts";

/** Parts of the tar that a directory's bar is drawn in. */
const CELLS = 1000;
/** Shades of a bar, as the style has them. */
const LEVELS = 4;
/** More spans than this are drawn several as one. */
const MAX_SPAN_BOXES = 4096;
/** Spans that have lines of their own through the whole picture. */
const MAX_GRID_LINES = 256;
const MAX_STRADDLER_BOXES = 4096;
const MAX_STRADDLER_ROWS = 500;
const MAX_SPAN_ROWS = 5000;

/**
 * The map as one page that needs nothing else: no script, no font, no picture from anywhere, which its
 * policy forbids. In pieces: it may have many spans.
 */
export function* layerMapPage(map: LayerMap): Iterable<string> {
  const { spans, directories } = map;
  const title = `zTOC ${map.ztoc.slice(0, 19)}`;
  yield `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${MAP_STYLE}</style>
</head>
<body>
<h1>Spans and files of a layer</h1>
${summaryOf(map)}
${sharedShapes(map)}
<div class="map" role="table" aria-label="Where the files lie in the layer">
<div class="name"></div>${axisOf(map)}<div class="figure">size</div><div class="figure">files</div><div class="figure">spans</div>
`;
  yield `<div class="name">spans</div>${barOf([...spanBoxes(map)].join(""), { grid: false })}<div></div><div></div><div class="figure">${spans.length}</div>\n`;
  if (map.straddlers.length > 0) {
    yield `<div class="name">straddling</div>${barOf([...straddlerBoxes(map)].join(""))}<div class="figure">${straddledSize(map)}</div><div class="figure">${map.straddlers.length}</div><div></div>\n`;
  }
  for (const directory of directories) yield directoryRow(directory, map);
  yield `</div>\n${legendOf(map)}\n`;
  yield* straddlerTable(map);
  yield* spanTable(map);
  yield "</body>\n</html>\n";
}

/** Text for HTML, in elements and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function summaryOf(map: LayerMap): string {
  const { spans, localSpans } = map;
  const facts: readonly (readonly [string, string])[] = [
    ["layer", map.layer ?? "not known on this host"],
    ["zTOC", `${map.ztoc} (${formatByteSize(map.ztocSize)})`],
    ["packed", `${formatByteSize(map.compressedSize)}, ${map.compression}`],
    ["unpacked", formatByteSize(map.uncompressedSize)],
    ["spans", `${spans.length} (span size ${formatByteSize(map.spanSize)})`],
    ["entries", String(map.fileCount)],
    [
      "straddling",
      `${counted(map.straddlers.length, "file")} (${straddledSize(map)}) in more than one span`,
    ],
    [
      "local",
      localSpans === undefined
        ? "there was no layer cache on this host"
        : `${localSpans} of ${spans.length} spans were in the cache of this host`,
    ],
  ];
  const rows = facts.map(([name, text]) => `<dt>${name}</dt><dd>${escapeHtml(text)}</dd>`);
  return `<dl>${rows.join("")}</dl>`;
}

/** Shapes that all bars share: lines where spans start, and a ground under what is local. */
function sharedShapes({ spans, uncompressedSize: size }: LayerMap): string {
  const ranges = localRanges(spans);
  const ground: string[] = [];
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    const [start, end] = [xOf(ranges[i] ?? 0, size), xOf(ranges[i + 1] ?? 0, size)];
    ground.push(`M${start} 0H${end}V1H${start}Z`);
  }
  const lines =
    spans.length > MAX_GRID_LINES
      ? []
      : spans.slice(1).map(({ uncompressedStart }) => `M${xOf(uncompressedStart, size)} 0V1`);
  return `<svg class="shapes" aria-hidden="true"><defs><path id="ground" d="${ground.join("")}"/><path id="grid" d="${lines.join("")}"/></defs></svg>`;
}

function axisOf({ uncompressedSize: size }: LayerMap): string {
  const marks = [0, 0.25, 0.5, 0.75, 1].map(
    (share) => `<span>${share === 0 ? "0" : formatByteSize(Math.round(size * share))}</span>`,
  );
  return `<div class="axis">${marks.join("")}</div>`;
}

function barOf(boxes: string, { grid = true }: { readonly grid?: boolean } = {}): string {
  const shared = grid ? '<use href="#ground" class="ground"/>' : "";
  const lines = grid ? '<use href="#grid" class="grid"/>' : "";
  return `<svg class="bar" viewBox="0 0 ${CELLS} 1" preserveAspectRatio="none">${shared}${boxes}${lines}</svg>`;
}

function* spanBoxes({ spans, uncompressedSize: size }: LayerMap): Iterable<string> {
  const group = Math.max(1, Math.ceil(spans.length / MAX_SPAN_BOXES));
  for (let i = 0; i < spans.length; i += group) {
    const members = spans.slice(i, i + group);
    const [first, last] = [members[0], members.at(-1)];
    if (first === undefined || last === undefined) continue;
    const kind = members.every(({ isLocal }) => isLocal === true) ? "local" : "remote";
    const shade = (i / group) % 2 === 0 ? "even" : "odd";
    const box = { start: first.uncompressedStart, end: last.uncompressedEnd, size };
    yield boxOf(box, `${kind} ${shade}`, spanTitle(members));
  }
}

function spanTitle(members: readonly MapSpan[]): string {
  const [first, last] = [members[0], members.at(-1)];
  if (first === undefined || last === undefined) return "";
  const packed = last.compressedEnd - first.compressedStart;
  const unpacked = Math.max(0, last.uncompressedEnd - first.uncompressedStart);
  const name = first === last ? `span ${first.id}` : `spans ${first.id} to ${last.id}`;
  const local = members.filter(({ isLocal }) => isLocal === true).length;
  return [
    name,
    `bytes ${first.compressedStart} to ${last.compressedEnd} of the blob (${formatByteSize(packed)})`,
    `bytes ${first.uncompressedStart} to ${last.uncompressedEnd} of the tar (${formatByteSize(unpacked)})`,
    ...(first === last
      ? [`${first.files} files, ${first.straddlers} of them in other spans, too`]
      : []),
    ...(first.isLocal === undefined
      ? []
      : [
          first === last
            ? local === 1
              ? "in the cache"
              : "not in the cache"
            : `${local} in the cache`,
        ]),
  ].join("\n");
}

function* straddlerBoxes(map: LayerMap): Iterable<string> {
  const { straddlers, uncompressedSize: size } = map;
  const drawn =
    straddlers.length <= MAX_STRADDLER_BOXES
      ? straddlers
      : straddlers
          .toSorted((a, b) => b.size - a.size)
          .slice(0, MAX_STRADDLER_BOXES)
          .sort((a, b) => a.start - b.start);
  for (const file of drawn) {
    const title = `${file.name}\n${formatByteSize(file.size)}, spans ${file.firstSpan} to ${file.lastSpan}`;
    yield boxOf({ start: file.start, end: file.end, size }, "straddler", title);
  }
}

/** Cells that are covered alike are one box. */
function directoryRow(directory: MapDirectory, { uncompressedSize: size }: LayerMap): string {
  const { name, bytes, files, spans, ranges } = directory;
  const covered = coverage(ranges, { cells: CELLS, size });
  const about = `${name}\n${formatByteSize(bytes)} in ${counted(files, "file")} in ${counted(spans, "span")}`;
  let boxes = "";
  for (let cell = 0; cell < CELLS;) {
    const level = coverageLevel(covered[cell] ?? 0, LEVELS);
    let end = cell + 1;
    while (end < CELLS && coverageLevel(covered[end] ?? 0, LEVELS) === level) end++;
    if (level > 0) {
      const from = formatByteSize((cell / CELLS) * size);
      const to = formatByteSize((end / CELLS) * size);
      const title = `${about}\nhere from ${from} to ${to} of the tar`;
      boxes += `<rect x="${cell}" y="0" width="${end - cell}" height="1" class="l${level}"><title>${escapeHtml(title)}</title></rect>`;
    }
    cell = end;
  }
  const shown = escapeHtml(name);
  return `<div class="name" title="${shown}">${shown}</div>${barOf(boxes)}<div class="figure">${formatByteSize(bytes)}</div><div class="figure">${files}</div><div class="figure">${spans}</div>\n`;
}

function legendOf({ localSpans }: LayerMap): string {
  const entries = [
    ...(localSpans === undefined ? [] : ['<i class="key local"></i> span in the local cache']),
    `<i class="key remote"></i> span ${localSpans === undefined ? "" : "not in it"}`,
    '<i class="key straddler"></i> file in more than one span',
    '<i class="key l4"></i> files of a directory (paler: only part of what lies there)',
  ];
  return `<p class="legend">${entries.map((entry) => `<span>${entry}</span>`).join("")}</p>`;
}

function* straddlerTable(map: LayerMap): Iterable<string> {
  const { straddlers } = map;
  if (straddlers.length === 0) return;
  const borders = straddledBorders(map).length;
  yield `<details open><summary>Files in more than one span (${straddlers.length}, over ${counted(borders, "border")})</summary>
<table><thead><tr><th class="figure">spans</th><th class="figure">size</th><th>file</th></tr></thead><tbody>
`;
  const shown = straddlers.toSorted((a, b) => b.size - a.size).slice(0, MAX_STRADDLER_ROWS);
  for (const { name, size, firstSpan, lastSpan } of shown) {
    yield `<tr><td class="figure">${firstSpan}–${lastSpan}</td><td class="figure">${formatByteSize(size)}</td><td class="path">${escapeHtml(name)}</td></tr>\n`;
  }
  yield `</tbody></table>${moreThan(straddlers.length, MAX_STRADDLER_ROWS)}</details>\n`;
}

function* spanTable({ spans }: LayerMap): Iterable<string> {
  yield `<details><summary>Spans (${spans.length})</summary>
<table><thead><tr><th class="figure">span</th><th class="figure">in the blob at</th><th class="figure">packed</th><th class="figure">unpacked</th><th class="figure">files</th><th class="figure">straddling</th><th>local</th></tr></thead><tbody>
`;
  for (const span of spans.slice(0, MAX_SPAN_ROWS)) {
    const cells = [
      String(span.id),
      String(span.compressedStart),
      formatByteSize(span.compressedEnd - span.compressedStart),
      formatByteSize(Math.max(0, span.uncompressedEnd - span.uncompressedStart)),
      String(span.files),
      String(span.straddlers),
    ].map((cell) => `<td class="figure">${cell}</td>`);
    const local = span.isLocal === undefined ? "–" : span.isLocal ? "yes" : "no";
    yield `<tr>${cells.join("")}<td>${local}</td></tr>\n`;
  }
  yield `</tbody></table>${moreThan(spans.length, MAX_SPAN_ROWS)}</details>\n`;
}

function moreThan(count: number, shown: number): string {
  return count > shown ? `<p>and ${count - shown} more</p>` : "";
}

function boxOf(
  { start, end, size }: { readonly start: number; readonly end: number; readonly size: number },
  kind: string,
  title: string,
): string {
  const x = xOf(start, size);
  // A file of some bytes in gigabytes is still to be seen, and to be pointed at.
  const width = Math.max(0.5, Math.round((xOf(end, size) - x) * 1000) / 1000);
  return `<rect x="${x}" y="0" width="${width}" height="1" class="${kind}"><title>${escapeHtml(title)}</title></rect>`;
}

function xOf(offset: number, size: number): number {
  if (size <= 0) return 0;
  const x = Math.min(CELLS, Math.max(0, (offset / size) * CELLS));
  return Math.round(x * 1000) / 1000;
}

function straddledSize({ straddlers }: LayerMap): string {
  return formatByteSize(straddlers.reduce((sum, { size }) => sum + size, 0));
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
