import type { Ztoc } from "./ztoc.ts";

/**
 * Why the spans of a decoded zTOC cannot be read, or undefined when they can: the reference's span
 * manager refuses the same zTOCs. A zTOC that fails can still be shown.
 *
 * The last span may end before it starts in the uncompressed tar: tars are padded past their end.
 */
export function checkSpans(ztoc: Ztoc): string | undefined {
  const { zinfo, maxSpanId, spanDigests, compressedArchiveSize } = ztoc;
  if (ztoc.compressionAlgorithm === "uncompressed" && zinfo.spanSize < 1) {
    return `span size is ${zinfo.spanSize}, want 1 or more`;
  }
  if (maxSpanId !== zinfo.maxSpanId) {
    return `max span ID is ${maxSpanId}, want ${zinfo.maxSpanId} as in the checkpoints`;
  }
  if (spanDigests.length !== maxSpanId + 1) {
    return `there are ${spanDigests.length} span digests, want ${maxSpanId + 1}`;
  }
  if (maxSpanId < 0 || compressedArchiveSize === 0) {
    return "there are no spans, want 1 or more";
  }
  return checkRanges(ztoc);
}

function checkRanges(ztoc: Ztoc): string | undefined {
  for (let span = 0; span <= ztoc.maxSpanId; span++) {
    const { compressedStart, compressedEnd, uncompressedStart, uncompressedEnd } =
      ztoc.zinfo.rangeOf(span, ztoc);
    if (compressedStart < 0 || compressedStart > ztoc.compressedArchiveSize) {
      return `span ${span} starts at byte ${compressedStart} of the blob, want 0 to ${ztoc.compressedArchiveSize}`;
    }
    if (
      span < ztoc.maxSpanId &&
      (compressedStart >= compressedEnd || uncompressedStart >= uncompressedEnd)
    ) {
      return `span offsets are non-monotonic: span ${span} is bytes ${compressedStart} to ${compressedEnd} of the blob and ${uncompressedStart} to ${uncompressedEnd} of the tar`;
    }
  }
  return undefined;
}
