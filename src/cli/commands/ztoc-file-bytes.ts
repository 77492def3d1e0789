import type { WaitOptions } from "../../async/wait-options.ts";
import type { InflateEngine } from "../../deflate/inflate-engine.ts";
import { SociError } from "../../errors.ts";
import { spansOf } from "../../fetch/span-plan.ts";
import type { FileMetadata } from "../../ztoc/file-metadata.ts";
import { extractSpan } from "../../ztoc/span-extractor.ts";
import type { Ztoc } from "../../ztoc/ztoc.ts";

export interface FileBytesOptions extends WaitOptions {
  readonly ztoc: Ztoc;
  /** Reads bytes [start, end) of the layer's blob, all of them. */
  readonly readRange: (start: number, end: number) => Promise<Uint8Array>;
  readonly engine: InflateEngine;
}

/**
 * The exact bytes of a file, of which only its spans are read, each verified before it is used. A
 * chunk dies with the next step. @throws data-loss
 */
export async function* fileBytes(
  { uncompressedOffset: start, uncompressedSize: size }: FileMetadata,
  { ztoc, readRange, engine, signal }: FileBytesOptions,
): AsyncGenerator<Uint8Array> {
  const end = start + size;
  const [first, last] = spansOf(ztoc, start, end) ?? [0, -1];
  if (size < 0 || end > ztoc.uncompressedArchiveSize || last > ztoc.maxSpanId) {
    throw new SociError(
      "data-loss",
      `Cannot read bytes ${start} to ${end} of the layer: it has ${ztoc.uncompressedArchiveSize} bytes`,
    );
  }
  for (let span = first; span <= last; span++) {
    signal?.throwIfAborted();
    const { compressedStart, compressedEnd, uncompressedStart } = ztoc.zinfo.rangeOf(span, ztoc);
    const compressed = await readRange(compressedStart, compressedEnd);
    let position = uncompressedStart;
    for (const chunk of extractSpan(ztoc, span, compressed, engine)) {
      const wanted = chunk.subarray(Math.max(0, start - position), Math.max(0, end - position));
      position += chunk.length;
      if (wanted.length > 0) yield wanted;
      if (position >= end) break;
    }
  }
}
