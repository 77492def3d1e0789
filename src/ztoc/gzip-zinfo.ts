import { ByteCursor } from "../bytes/byte-cursor.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { WINDOW_BYTES } from "../deflate/inflate-engine.ts";
import { SociError } from "../errors.ts";
import type { ArchiveSizes, SpanId, SpanRange, Zinfo } from "./zinfo.ts";

/** State of the decompressor where a span starts. */
export interface Checkpoint {
  /** Compressed offset of the span's first whole byte. */
  readonly in: number;
  /** Uncompressed offset. */
  readonly out: number;
  /** 0 to 7: how many high bits of the byte before `in` belong to the span. */
  readonly bits: number;
  /** The 32 KiB of output before `out`, oldest byte first, zeros in front where there is less. */
  readonly window: Uint8Array;
}

/** Count and span size. */
export const GZIP_ZINFO_HEADER_BYTES = 12;
/** `in`, `out` and `bits`. */
const CHECKPOINT_HEAD_BYTES = 17;
export const CHECKPOINT_BYTES = CHECKPOINT_HEAD_BYTES + WINDOW_BYTES;

/** The first version did not store checkpoint 0: it took the shortest gzip header for granted. */
const V1_FIRST_IN = 10;
const ZERO_WINDOW = new Uint8Array(WINDOW_BYTES);

/** Bytes of a zinfo with so many checkpoints in it. */
function gzipZinfoSize(checkpoints: number): number {
  return GZIP_ZINFO_HEADER_BYTES + CHECKPOINT_BYTES * checkpoints;
}

/** The 12 bytes that so many checkpoints follow. `spanSize` is what the zinfo was built with. */
export function encodeGzipZinfoHeader(checkpoints: number, spanSize: number): Uint8Array {
  const writer = new ByteWriter(GZIP_ZINFO_HEADER_BYTES);
  writer.i32le(checkpoints);
  writer.i64le(BigInt(spanSize));
  return writer.take();
}

/**
 * Writes all of a checkpoint but its window to `record`, which is CHECKPOINT_BYTES long; returns the
 * window's place in it, for the caller to fill.
 */
export function encodeCheckpoint(
  record: Uint8Array,
  checkpoint: Omit<Checkpoint, "window">,
): Uint8Array {
  if (record.length !== CHECKPOINT_BYTES) {
    throw new RangeError(
      `Cannot encode a checkpoint: record has ${record.length} bytes, want ${CHECKPOINT_BYTES}`,
    );
  }
  const head = new ByteWriter(CHECKPOINT_HEAD_BYTES);
  head.sizeLe(checkpoint.in);
  head.sizeLe(checkpoint.out);
  head.u8(checkpoint.bits);
  record.set(head.view());
  return record.subarray(CHECKPOINT_HEAD_BYTES);
}

/** Checkpoints of a gzip layer. Offsets are read once, 24 bytes a span; windows stay in the blob. */
export class GzipZinfo implements Zinfo {
  readonly bytes: Uint8Array;
  readonly maxSpanId: SpanId;
  readonly spanSize: number;
  readonly #isV1: boolean;
  readonly #in: Float64Array;
  readonly #out: Float64Array;
  readonly #bits: Uint8Array;
  /** Greatest `out` of checkpoints 1 to i: spanOf() stops where the reference's scan from the front does. */
  readonly #reach: Float64Array;

  /** Decodes a blob, which it keeps. @throws data-loss */
  constructor(blob: Uint8Array) {
    const cursor = new ByteCursor(blob, "gzip zinfo");
    const count = cursor.i32le("checkpoint count");
    const spanSize = Number(cursor.i64le("span size"));
    const isV1 = count > 0 && blob.length === gzipZinfoSize(count - 1);
    if (count < 0 || (!isV1 && blob.length !== gzipZinfoSize(count))) {
      throw new SociError(
        "data-loss",
        `Cannot decode gzip zinfo: ${count} checkpoints in ${blob.length} bytes, want ${gzipZinfoSize(count)}`,
      );
    }
    this.bytes = blob;
    this.maxSpanId = count - 1;
    this.spanSize = spanSize;
    this.#isV1 = isV1;
    this.#in = new Float64Array(count);
    this.#out = new Float64Array(count);
    this.#bits = new Uint8Array(count);
    this.#reach = new Float64Array(count);
    for (let span = 0; span < count; span++) {
      this.#read(cursor, span);
    }
  }

  /** Where span `span` starts; `window` aliases the blob. @throws invalid-argument when there is no such span */
  checkpointAt(span: SpanId): Checkpoint {
    this.#check(span);
    const start = this.#startOf(span) + CHECKPOINT_HEAD_BYTES;
    return {
      in: this.#in[span] ?? 0,
      out: this.#out[span] ?? 0,
      bits: this.#bits[span] ?? 0,
      window:
        this.#isV1 && span === 0 ? ZERO_WINDOW : this.bytes.subarray(start, start + WINDOW_BYTES),
    };
  }

  /** @throws invalid-argument when there is no such span */
  rangeOf(span: SpanId, sizes: ArchiveSizes): SpanRange {
    this.#check(span);
    const isLast = span === this.maxSpanId;
    // A byte that two spans share belongs to both.
    const shared = (this.#bits[span] ?? 0) > 0 ? 1 : 0;
    return {
      compressedStart: (this.#in[span] ?? 0) - shared,
      compressedEnd: isLast ? sizes.compressedArchiveSize : (this.#in[span + 1] ?? 0),
      uncompressedStart: this.#out[span] ?? 0,
      uncompressedEnd: isLast ? sizes.uncompressedArchiveSize : (this.#out[span + 1] ?? 0),
    };
  }

  spanOf(uncompressedOffset: number): SpanId {
    let low = 0;
    let high = this.maxSpanId;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#reach[middle] ?? 0) <= uncompressedOffset) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  #read(cursor: ByteCursor, span: SpanId): void {
    if (this.#isV1 && span === 0) {
      this.#in[0] = V1_FIRST_IN;
      return;
    }
    cursor.seek(this.#startOf(span), "checkpoint");
    this.#in[span] = cursor.sizeLe("compressed offset");
    const out = cursor.sizeLe("uncompressed offset");
    const bits = cursor.u8("bits");
    if (bits > 7) {
      throw new SociError(
        "data-loss",
        `Cannot decode gzip zinfo: checkpoint ${span} has ${bits} bits, want 0 to 7`,
      );
    }
    this.#out[span] = out;
    this.#bits[span] = bits;
    this.#reach[span] = span === 0 ? 0 : Math.max(out, this.#reach[span - 1] ?? 0);
  }

  #startOf(span: SpanId): number {
    return gzipZinfoSize(this.#isV1 ? span - 1 : span);
  }

  #check(span: SpanId): void {
    if (!Number.isInteger(span) || span < 0 || span > this.maxSpanId) {
      throw new SociError(
        "invalid-argument",
        `Cannot find span ${span}: want 0 to ${this.maxSpanId}`,
      );
    }
  }
}
