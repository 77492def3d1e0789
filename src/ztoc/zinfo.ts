/** Number of a span in its layer, from 0. */
export type SpanId = number;

/** Where one span lies: half-open ranges of the compressed blob and of the uncompressed tar. */
export interface SpanRange {
  readonly compressedStart: number;
  readonly compressedEnd: number;
  readonly uncompressedStart: number;
  readonly uncompressedEnd: number;
}

/** Sizes of the layer that a zinfo speaks about, from the zTOC it stands in. */
export interface ArchiveSizes {
  readonly compressedArchiveSize: number;
  readonly uncompressedArchiveSize: number;
}

/** All checkpoints of a layer. Geometry follows the reference exactly: also where ranges are empty or inverted. */
export interface Zinfo {
  /** The checkpoint blob as it stands in the zTOC. */
  readonly bytes: Uint8Array;
  /** -1 for an empty plain tar. */
  readonly maxSpanId: SpanId;
  readonly spanSize: number;
  rangeOf(span: SpanId, sizes: ArchiveSizes): SpanRange;
  /** Last span that starts at or before the uncompressed offset. */
  spanOf(uncompressedOffset: number): SpanId;
}
