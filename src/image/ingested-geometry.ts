import { ByteCursor } from "../bytes/byte-cursor.ts";
import { geometryChunks, type SpanRecord, wholeGeometry } from "../cache/encode-geometry.ts";
import { CHECKPOINT_BYTES, GZIP_ZINFO_HEADER_BYTES } from "../ztoc/gzip-zinfo.ts";
import type { BuiltSpans } from "../ztoc/span-builder.ts";
import type { IngestedLayer } from "./layer-ingest.ts";

const CHECKPOINT_HEAD_BYTES = 17;

/** The geometry of a layer that has been taken in, in chunks; checkpoints are read from where they wait. */
export function ingestedGeometry(layer: IngestedLayer): Iterable<Uint8Array> {
  const { spans, encoding, compressedSize, uncompressedSize, spanSize } = layer;
  const sizes = { compressedSize, uncompressedSize };
  if (spans === undefined) return wholeGeometry(sizes);
  if (encoding === "gzip") {
    const records = [...checkpointsOf(spans)].map(({ record }) => record);
    const windows = function* (): Generator<Uint8Array> {
      for (const { window } of checkpointsOf(spans)) yield window;
    };
    return geometryChunks({ encoding: "gzip", spans: records, windows, ...sizes });
  }
  const records = spans.spanDigests.map((digest, span): SpanRecord => {
    const start = span * spanSize;
    return { compressedStart: start, uncompressedStart: start, bits: 0, digest };
  });
  return geometryChunks({ encoding: "tar", spans: records, ...sizes });
}

interface KeptCheckpoint {
  readonly record: SpanRecord;
  /** Dies with the next step. */
  readonly window: Uint8Array;
}

function* checkpointsOf({ checkpoints, spanDigests }: BuiltSpans): Generator<KeptCheckpoint> {
  let span = 0;
  for (const bytes of recordsOf(checkpoints.chunks())) {
    const cursor = new ByteCursor(bytes, "checkpoint");
    const start = cursor.sizeLe("compressed offset");
    const uncompressedStart = cursor.sizeLe("uncompressed offset");
    const bits = cursor.u8("bits");
    const digest = spanDigests[span++];
    if (digest === undefined) throw new Error(`span ${span - 1} has no digest`);
    // A byte that two spans share belongs to both.
    const compressedStart = start - (bits > 0 ? 1 : 0);
    yield {
      record: { compressedStart, uncompressedStart, bits, digest },
      window: bytes.subarray(CHECKPOINT_HEAD_BYTES),
    };
  }
}

/** The checkpoints of a zinfo, one by one; the same memory each time. */
function* recordsOf(chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  const record = new Uint8Array(CHECKPOINT_BYTES);
  let skip = GZIP_ZINFO_HEADER_BYTES;
  let filled = 0;
  for (const chunk of chunks) {
    const skipped = Math.min(skip, chunk.length);
    skip -= skipped;
    for (let rest = chunk.subarray(skipped); rest.length > 0;) {
      const part = rest.subarray(0, CHECKPOINT_BYTES - filled);
      record.set(part, filled);
      filled += part.length;
      rest = rest.subarray(part.length);
      if (filled < CHECKPOINT_BYTES) continue;
      filled = 0;
      yield record;
    }
  }
}
