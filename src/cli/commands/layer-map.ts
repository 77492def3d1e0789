import type { Digest } from "../../oci/digest.ts";
import { byteNameOf, cleanPath } from "../../tree/byte-name.ts";
import type { SpanId } from "../../ztoc/zinfo.ts";
import type { Ztoc } from "../../ztoc/ztoc.ts";
import type { CachedSpans } from "./cached-spans.ts";
import { DirectoryCut } from "./directory-cut.ts";
import { shownPath } from "./shown-path.ts";

/** A picture of a layer in numbers: what lies where in its tar, and in its blob. Names are fit for display. */
export interface LayerMap {
  readonly ztoc: Digest;
  /** Bytes of the zTOC. */
  readonly ztocSize: number;
  readonly layer: Digest | undefined;
  readonly compression: string;
  readonly compressedSize: number;
  readonly uncompressedSize: number;
  readonly spanSize: number;
  /** Entries of the tar. */
  readonly fileCount: number;
  readonly spans: readonly MapSpan[];
  /** Undefined: there is no cache on this host. */
  readonly localSpans: number | undefined;
  /** What the layer's files are divided into, in the order in which the tar comes to them; each file is in one. */
  readonly directories: readonly MapDirectory[];
  /** Files that lie in more than one span, in the order of the tar: reading their end costs their spans. */
  readonly straddlers: readonly MapFile[];
}

export interface MapSpan {
  readonly id: SpanId;
  readonly compressedStart: number;
  readonly compressedEnd: number;
  readonly uncompressedStart: number;
  readonly uncompressedEnd: number;
  /** Files of which some byte lies in it. */
  readonly files: number;
  /** Of those the ones that lie in others, too. */
  readonly straddlers: number;
  /** Undefined: there is no cache on this host. */
  readonly isLocal: boolean | undefined;
}

export interface MapDirectory {
  /** As `/usr/lib`; `/usr/*` is what is in /usr but in none of the others. */
  readonly name: string;
  readonly files: number;
  /** Of the files' content. */
  readonly bytes: number;
  readonly spans: number;
  /** Half-open ranges of the tar, start and end in turn, in order: runs of its files that follow one another. */
  readonly ranges: readonly number[];
}

export interface MapFile {
  readonly name: string;
  readonly size: number;
  readonly start: number;
  readonly end: number;
  readonly firstSpan: SpanId;
  readonly lastSpan: SpanId;
}

export interface LayerMapOptions {
  readonly digest: Digest;
  readonly size: number;
  readonly layer: Digest | undefined;
  readonly cached: CachedSpans | undefined;
  /** Most directories that the files are divided into. */
  readonly maxDirectories: number;
}

/** Draws the map of a zTOC whose spans checkSpans() accepts. */
export function mapLayer(ztoc: Ztoc, options: LayerMapOptions): LayerMap {
  const { digest, size, layer, cached, maxDirectories } = options;
  const spanCount = ztoc.maxSpanId + 1;
  const fileStarts = new Float64Array(spanCount + 1);
  const straddlerStarts = new Float64Array(spanCount + 1);
  const straddlers: MapFile[] = [];
  const cut = new DirectoryCut();
  for (const file of ztoc.files) {
    if (file.type !== "reg") continue;
    const { uncompressedOffset: start, uncompressedSize: length } = file;
    const path = cleanPath(byteNameOf(file.name));
    cut.add(path.slice(0, -1), length);
    if (length <= 0) continue;
    const firstSpan = ztoc.zinfo.spanOf(start);
    const lastSpan = ztoc.zinfo.spanOf(start + length - 1);
    addRun(fileStarts, firstSpan, lastSpan);
    if (firstSpan === lastSpan) continue;
    addRun(straddlerStarts, firstSpan, lastSpan);
    const name = shownPath(path);
    straddlers.push({ name, size: length, start, end: start + length, firstSpan, lastSpan });
  }
  const files = runningSums(fileStarts);
  const straddling = runningSums(straddlerStarts);
  const spans = Array.from({ length: spanCount }, (_, id): MapSpan => ({
    id,
    ...ztoc.zinfo.rangeOf(id, ztoc),
    files: files[id] ?? 0,
    straddlers: straddling[id] ?? 0,
    isLocal: cached?.has(id),
  }));
  return {
    ztoc: digest,
    ztocSize: size,
    layer: layer ?? cached?.layer,
    compression: ztoc.compressionAlgorithm === "gzip" ? "gzip" : "plain tar",
    compressedSize: ztoc.compressedArchiveSize,
    uncompressedSize: ztoc.uncompressedArchiveSize,
    spanSize: ztoc.zinfo.spanSize,
    fileCount: ztoc.files.length,
    spans,
    localSpans: cached === undefined ? undefined : spans.filter(({ isLocal }) => isLocal).length,
    directories: directoriesOf(ztoc, cut, maxDirectories),
    straddlers,
  };
}

interface Gathered {
  files: number;
  bytes: number;
  spans: number;
  lastSpan: SpanId;
  readonly ranges: number[];
}

function directoriesOf(ztoc: Ztoc, cut: DirectoryCut, maxDirectories: number): MapDirectory[] {
  const parts = cut.parts(maxDirectories);
  const gathered = new Map<string, Gathered>();
  let previous: Gathered | undefined;
  for (const file of ztoc.files) {
    if (file.type !== "reg") continue;
    const part = parts(cleanPath(byteNameOf(file.name)).slice(0, -1));
    let found = gathered.get(part);
    if (found === undefined) {
      found = { files: 0, bytes: 0, spans: 0, lastSpan: -1, ranges: [] };
      gathered.set(part, found);
    }
    addFile(found, file, { ztoc, follows: previous === found });
    previous = found;
  }
  return [...gathered].map(([name, { files, bytes, spans, ranges }]) => ({
    name,
    files,
    bytes,
    spans,
    ranges,
  }));
}

function addFile(
  found: Gathered,
  {
    uncompressedOffset: start,
    uncompressedSize: length,
  }: { readonly uncompressedOffset: number; readonly uncompressedSize: number },
  { ztoc, follows }: { readonly ztoc: Ztoc; readonly follows: boolean },
): void {
  found.files++;
  if (length <= 0) return;
  found.bytes += length;
  const { ranges } = found;
  const end = start + length;
  // With the headers between them, and what has no content.
  if (follows && ranges.length > 0) ranges[ranges.length - 1] = end;
  else ranges.push(start, end);
  // Entries come in the order of the tar.
  const first = Math.max(ztoc.zinfo.spanOf(start), found.lastSpan + 1);
  const last = ztoc.zinfo.spanOf(end - 1);
  if (last < first) return;
  found.spans += last - first + 1;
  found.lastSpan = last;
}

function addRun(starts: Float64Array, first: SpanId, last: SpanId): void {
  starts[first] = (starts[first] ?? 0) + 1;
  starts[last + 1] = (starts[last + 1] ?? 0) - 1;
}

function runningSums(starts: Float64Array): Float64Array {
  let sum = 0;
  return starts.map((step) => (sum += step));
}

/**
 * How much of each of `cells` equal parts of the tar these ranges cover, 0 to 1. What covers anything
 * covers something: no file is lost in the picture.
 */
export function coverage(
  ranges: readonly number[],
  { cells, size }: { readonly cells: number; readonly size: number },
): Float64Array {
  const covered = new Float64Array(cells);
  if (size <= 0) return covered;
  const cellSize = size / cells;
  for (let i = 0; i + 1 < ranges.length; i += 2) {
    const start = Math.max(0, ranges[i] ?? 0);
    const end = Math.min(size, ranges[i + 1] ?? 0);
    const last = Math.min(cells - 1, Math.ceil(end / cellSize) - 1);
    for (let cell = Math.min(cells - 1, Math.floor(start / cellSize)); cell <= last; cell++) {
      const overlap = Math.min(end, (cell + 1) * cellSize) - Math.max(start, cell * cellSize);
      covered[cell] = Math.min(1, (covered[cell] ?? 0) + Math.max(0, overlap) / cellSize);
    }
  }
  return covered;
}
