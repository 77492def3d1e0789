import { GzipDecoder } from "../deflate/gzip-decoder.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { SociError } from "../errors.ts";
import { digestOf } from "../oci/digest.ts";
import { GzipZinfo } from "./gzip-zinfo.ts";
import type { SpanId } from "./zinfo.ts";
import type { Ztoc } from "./ztoc.ts";

/**
 * The uncompressed bytes of one span, in order, from its `uncompressedStart` to its
 * `uncompressedEnd`. `compressed` is the blob's range of that span; its digest is checked before the
 * first byte comes out. Each chunk is a view that dies with the next step; the first comes long
 * before the span has been inflated to its end, and a caller that has enough just stops.
 * The engine is in use until then. @throws data-loss, invalid-argument (no such span)
 */
export function* extractSpan(
  ztoc: Ztoc,
  span: SpanId,
  compressed: Uint8Array,
  engine: InflateEngine,
): Generator<Uint8Array, void> {
  const range = ztoc.zinfo.rangeOf(span, ztoc);
  checkSpan(ztoc, span, compressed);
  // The last span may lie behind the end of the tar archive: then nothing of it is wanted.
  const want = range.uncompressedEnd - range.uncompressedStart;
  if (want <= 0) return;
  if (!(ztoc.zinfo instanceof GzipZinfo)) {
    if (compressed.length < want) throw tooShort(span, compressed.length, want);
    yield compressed.subarray(0, want);
    return;
  }
  const { bits, window } = ztoc.zinfo.checkpointAt(span);
  const decoder = new GzipDecoder(engine, { bits, partialByte: compressed[0] ?? 0, window });
  decoder.push(bits > 0 ? compressed.subarray(1) : compressed);
  decoder.endInput();
  for (let made = 0; ;) {
    // Spans end where a block ends: stop there, for the next block is not in these bytes.
    const stop = decoder.run(want - 1);
    const output = decoder.output.subarray(0, want - made);
    made += output.length;
    if (output.length > 0) yield output;
    if (made === want) return;
    if (stop === "end") throw tooShort(span, made, want);
  }
}

function tooShort(span: SpanId, size: number, want: number): SociError {
  return new SociError(
    "data-loss",
    `Cannot read span ${span}: it has ${size} uncompressed bytes, want ${want}`,
  );
}

function checkSpan(ztoc: Ztoc, span: SpanId, compressed: Uint8Array): void {
  const { compressedStart, compressedEnd } = ztoc.zinfo.rangeOf(span, ztoc);
  if (compressed.length !== compressedEnd - compressedStart) {
    throw new SociError(
      "data-loss",
      `Cannot use span ${span}: ${compressed.length} bytes, want ${compressedEnd - compressedStart}`,
    );
  }
  const want = ztoc.spanDigests[span];
  const got = digestOf(compressed);
  if (got !== want) {
    throw new SociError("data-loss", `Cannot use span ${span}: digest is ${got}, want ${want}`);
  }
}
