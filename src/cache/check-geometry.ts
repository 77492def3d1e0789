import type { LayerGeometry } from "./layer-geometry.ts";

/** No layer is bigger: its live map would be 256 MiB. */
const MAX_DATA_BYTES = 2 ** 40;

/** Deflate makes at most 258 bytes of 2 bits, RFC 1951. */
const MAX_INFLATE_RATIO = 1032;

/**
 * Why a geometry cannot be used, or undefined. Sizes come from a zTOC that anybody may have written:
 * what they cost in memory and on disk is bounded here by what the blob can hold.
 */
export function checkGeometry(geometry: LayerGeometry): string | undefined {
  const { spanCount, compressedSize, encoding } = geometry;
  if (geometry.dataSize > MAX_DATA_BYTES) {
    return `the layer has ${geometry.dataSize} bytes, want <= ${MAX_DATA_BYTES}`;
  }
  if (geometry.uncompressedSize > geometry.dataSize) {
    return `${geometry.uncompressedSize} bytes of data are in no span`;
  }
  for (let span = 0; span < spanCount; span++) {
    const start = geometry.compressedStart(span);
    const end = geometry.compressedEnd(span);
    if (!isOffset(start) || !isOffset(end) || end < start || end > compressedSize) {
      return `span ${span} is bytes ${start} to ${end} of ${compressedSize} of the blob`;
    }
    const outStart = geometry.uncompressedStart(span);
    const length = geometry.uncompressedLength(span);
    const isLast = span === spanCount - 1;
    if (!isOffset(outStart) || (span === 0 && outStart !== 0) || (length <= 0 && !isLast)) {
      return `span ${span} starts at byte ${outStart} of the tar, ${length} bytes before the next`;
    }
    if (geometry.bits(span) > 7) return `span ${span} has ${geometry.bits(span)} bits, want 0 to 7`;
    if (encoding !== "whole" && length > lengthLimit(encoding, end - start)) {
      return `span ${span} makes ${length} bytes of ${end - start}`;
    }
  }
  return undefined;
}

function lengthLimit(encoding: "gzip" | "tar", compressed: number): number {
  return encoding === "tar" ? compressed : MAX_INFLATE_RATIO * (compressed + 1);
}

function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
