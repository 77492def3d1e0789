import { SociError } from "../errors.ts";
import { bytesOf } from "./encode-ztoc.ts";
import { FlatbufferReader } from "./flatbuffer-reader.ts";
import { FlatbufferWriter } from "./flatbuffer-writer.ts";
import type { ArchiveSizes, SpanId, SpanRange, Zinfo } from "./zinfo.ts";
import { TAR_ZINFO } from "./ztoc-schema.ts";

const VERSION = 2;

export interface TarZinfoInput {
  readonly spanSize: number;
  /** Bytes of the blob. */
  readonly size: number;
}

/** Bytes of the zinfo of a plain tar: its spans all have one size. */
export function encodeTarZinfo({ spanSize, size }: TarZinfoInput): Uint8Array {
  const writer = new FlatbufferWriter();
  writer.startTable(TAR_ZINFO.slots);
  writer.addInt32(TAR_ZINFO.version, VERSION);
  writer.addInt64(TAR_ZINFO.spanSize, spanSize);
  writer.addInt64(TAR_ZINFO.size, size);
  return bytesOf(writer.finish(writer.endTable()));
}

/**
 * Spans of a plain tar. A span size below 1 decodes, so that such a zTOC can be shown; it has no
 * spans to read, which checkSpans() says.
 */
export class TarZinfo implements Zinfo {
  readonly bytes: Uint8Array;
  readonly maxSpanId: SpanId;
  readonly spanSize: number;

  /** Decodes a blob, which it keeps. @throws data-loss */
  constructor(blob: Uint8Array) {
    const reader = new FlatbufferReader(blob, "tar zinfo");
    const root = reader.root();
    const spanSize = reader.safeInt(root, TAR_ZINFO.spanSize, "span size");
    const size = reader.size(root, TAR_ZINFO.size, "size");
    this.bytes = blob;
    this.spanSize = spanSize;
    this.maxSpanId = spanSize < 1 ? -1 : Math.ceil(size / spanSize) - 1;
  }

  /** @throws invalid-argument when there is no such span */
  rangeOf(span: SpanId, sizes: ArchiveSizes): SpanRange {
    if (!Number.isInteger(span) || span < 0 || span > this.maxSpanId) {
      throw new SociError(
        "invalid-argument",
        `Cannot find span ${span}: want 0 to ${this.maxSpanId}`,
      );
    }
    const isLast = span === this.maxSpanId;
    const start = span * this.spanSize;
    const end = start + this.spanSize;
    return {
      compressedStart: start,
      compressedEnd: isLast ? sizes.compressedArchiveSize : end,
      uncompressedStart: start,
      uncompressedEnd: isLast ? sizes.uncompressedArchiveSize : end,
    };
  }

  spanOf(uncompressedOffset: number): SpanId {
    return Math.floor(uncompressedOffset / this.spanSize);
  }
}
