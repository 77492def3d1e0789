import { SociError } from "../errors.ts";
import { type Digest, hexOf } from "../oci/digest.ts";
import { checkFileEnds } from "../ztoc/check-file-ends.ts";
import { checkSpans } from "../ztoc/check-spans.ts";
import { GzipZinfo } from "../ztoc/gzip-zinfo.ts";
import type { Ztoc } from "../ztoc/ztoc.ts";
import { crc32 } from "./crc32.ts";
import {
  DIGEST_BYTES,
  type GeometryEncoding,
  geometryPlaces,
  sealGeometry,
  WINDOW_BYTES,
} from "./geometry-format.ts";

/** One span, as the geometry file keeps it. Where it ends is where the next begins. */
export interface SpanRecord {
  /** First byte of the blob that the span needs: shared with the span before when `bits` is not 0. */
  readonly compressedStart: number;
  readonly uncompressedStart: number;
  /** 0 to 7: how many high bits of its first byte belong to it, when that byte is shared. */
  readonly bits: number;
  /** sha256 of its compressed bytes; none where the spans cannot be had one by one. */
  readonly digest?: Digest;
}

export interface GeometryInput {
  readonly encoding: GeometryEncoding;
  readonly compressedSize: number;
  readonly uncompressedSize: number;
  readonly spans: readonly SpanRecord[];
  /** Of gzip layers: one window of 32 KiB a span, in order. Called twice; a window may die with the next step. */
  readonly windows?: () => Iterable<Uint8Array>;
}

/** Uncompressed bytes of the spans that a "whole" layer is cut into. */
export const WHOLE_SPAN_BYTES = 4 << 20;

/** Bytes of a geometry file, in chunks: records first, then the windows as they are given. */
export function* geometryChunks(input: GeometryInput): Generator<Uint8Array> {
  const { encoding, spans, windows } = input;
  const places = geometryPlaces(spans.length);
  const hasWindows = encoding === "gzip";
  // Only the records and the padding behind them are made here.
  const head = new Uint8Array(hasWindows ? places.windows : places.end);
  const view = new DataView(head.buffer);
  for (const [i, span] of spans.entries()) {
    view.setFloat64(places.compressedStart + 8 * i, span.compressedStart, true);
    view.setFloat64(places.uncompressedStart + 8 * i, span.uncompressedStart, true);
    view.setUint8(places.bits + i, span.bits);
    if (span.digest !== undefined) {
      head.set(Buffer.from(hexOf(span.digest), "hex"), places.digest + DIGEST_BYTES * i);
    }
  }
  if (hasWindows) {
    let i = 0;
    for (const window of checkedWindows(input)) {
      view.setUint32(places.windowCrc + 4 * i++, crc32(window), true);
    }
  }
  sealGeometry(head.subarray(0, places.end), { ...input, spanCount: spans.length });
  yield head;
  if (hasWindows && windows !== undefined) yield* windows();
}

/** The geometry file of a layer that has a zTOC; windows are views of it. @throws data-loss when no reader can use its spans or reach its files */
export function geometryOf(ztoc: Ztoc): Generator<Uint8Array> {
  const fault = checkSpans(ztoc) ?? checkFileEnds(ztoc);
  if (fault !== undefined) throw new SociError("data-loss", `Cannot use zTOC: ${fault}`);
  const { zinfo } = ztoc;
  const spans = Array.from({ length: ztoc.maxSpanId + 1 }, (_, span): SpanRecord => {
    const { compressedStart, uncompressedStart } = zinfo.rangeOf(span, ztoc);
    const digest = ztoc.spanDigests[span];
    if (digest === undefined) throw new Error(`span ${span} has no digest`);
    const bits = zinfo instanceof GzipZinfo ? zinfo.checkpointAt(span).bits : 0;
    return { compressedStart, uncompressedStart, bits, digest };
  });
  const sizes = {
    compressedSize: ztoc.compressedArchiveSize,
    uncompressedSize: ztoc.uncompressedArchiveSize,
  };
  if (!(zinfo instanceof GzipZinfo)) return geometryChunks({ encoding: "tar", spans, ...sizes });
  const windows = function* (): Generator<Uint8Array> {
    for (let span = 0; span <= zinfo.maxSpanId; span++) yield zinfo.checkpointAt(span).window;
  };
  return geometryChunks({ encoding: "gzip", spans, windows, ...sizes });
}

/** The geometry file of a layer whose spans cannot be entered: spans of 4 MiB that are only had together. */
export function wholeGeometry(sizes: {
  readonly compressedSize: number;
  readonly uncompressedSize: number;
}): Generator<Uint8Array> {
  const count = Math.ceil(sizes.uncompressedSize / WHOLE_SPAN_BYTES);
  const spans = Array.from({ length: count }, (_, span): SpanRecord => {
    return { compressedStart: 0, uncompressedStart: span * WHOLE_SPAN_BYTES, bits: 0 };
  });
  return geometryChunks({ encoding: "whole", spans, ...sizes });
}

function* checkedWindows({ spans, windows }: GeometryInput): Generator<Uint8Array> {
  let count = 0;
  for (const window of windows?.() ?? []) {
    if (window.length !== WINDOW_BYTES) {
      throw new RangeError(`window ${count} has ${window.length} bytes, want ${WINDOW_BYTES}`);
    }
    count++;
    yield window;
  }
  if (count !== spans.length) {
    throw new RangeError(`there are ${count} windows, want one for each of ${spans.length} spans`);
  }
}
