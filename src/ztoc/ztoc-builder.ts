import type { ByteLog } from "../bytes/byte-log.ts";
import { MemoryByteLog } from "../bytes/byte-log.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import { TarScanner } from "../tar/tar-scanner.ts";
import type { SpanBuilder } from "./span-builder.ts";
import type { ByteSource } from "./flatbuffer-writer.ts";
import { GzipSpanBuilder } from "./gzip-span-builder.ts";
import { TarSpanBuilder } from "./tar-span-builder.ts";
import { encodeZtoc } from "./encode-ztoc.ts";
import { fileMetadataOf } from "./file-metadata-of.ts";
import { FileTable } from "./file-table.ts";
import { needsXattrs } from "./needs-xattrs.ts";
import { TocOrder } from "./toc-order.ts";
import type { ZtocSummary } from "./ztoc-summary.ts";
import type { CompressionAlgorithm } from "./ztoc.ts";
import { DEFAULT_SPAN_SIZE } from "./ztoc.ts";

export interface ZtocBuilderOptions {
  readonly algorithm: CompressionAlgorithm;
  /** Made when a gzip layer is begun. */
  readonly engine: () => InflateEngine;
  /** Uncompressed bytes after which the next deflate block border starts a new span. */
  readonly spanSize?: number | undefined;
  /** Where checkpoints (32 KiB a span) wait until the end; in memory by default. */
  readonly checkpoints?: ByteLog;
}

/** A zTOC that has been built: what it says in short, and its bytes. */
export interface BuiltZtoc extends Omit<ZtocSummary, "size"> {
  readonly encoded: ByteSource;
}

const SPARSE_FAULT = "it holds a sparse file, whose holes a zTOC cannot tell";

/**
 * Builds the zTOC of one layer in one pass over its bytes: inflate with checkpoints, span digests
 * and tar headers together. Memory is the zTOC's own size (less what `checkpoints` keeps elsewhere)
 * plus fixed buffers. push() and finish() throw `data-loss` for a damaged layer and `unsupported` for
 * an entry that a zTOC cannot hold; the builder is then good for nothing.
 */
export class ZtocBuilder {
  readonly #algorithm: CompressionAlgorithm;
  readonly #files = new FileTable();
  readonly #spans: SpanBuilder;
  readonly #scanner: TarScanner;
  #compressedSize = 0;
  #needsXattrs = false;
  readonly #order = new TocOrder();
  #unusable: string | undefined;

  constructor({
    algorithm,
    engine,
    spanSize = DEFAULT_SPAN_SIZE,
    checkpoints = new MemoryByteLog(),
  }: ZtocBuilderOptions) {
    this.#algorithm = algorithm;
    this.#scanner = new TarScanner({
      onEntry: (entry) => {
        const file = fileMetadataOf(entry);
        this.#needsXattrs ||= needsXattrs(file);
        this.#unusable ??= this.#order.check(file) ?? (entry.sparse ? SPARSE_FAULT : undefined);
        this.#files.append(file);
      },
    });
    const onOutput = (bytes: Uint8Array) => this.#scanner.push(bytes);
    this.#spans =
      algorithm === "gzip"
        ? new GzipSpanBuilder({
            engine: engine(),
            spanSize,
            checkpoints,
            onOutput,
            goReads: () => !this.#scanner.done,
          })
        : new TarSpanBuilder({ spanSize, onOutput });
  }

  /** Takes the layer's next bytes; their memory may be reused after the call. */
  push(chunk: Uint8Array): void {
    this.#compressedSize += chunk.length;
    this.#spans.push(chunk);
  }

  /** All bytes have been pushed. */
  finish(): BuiltZtoc {
    const spans = this.#spans.finish();
    this.#scanner.finish();
    const uncompressedSize = this.#scanner.endOffset;
    const fileCount = this.#files.length;
    return {
      encoded: encodeZtoc({
        compressedArchiveSize: this.#compressedSize,
        uncompressedArchiveSize: uncompressedSize,
        files: this.#files,
        compressionAlgorithm: this.#algorithm,
        maxSpanId: spans.maxSpanId,
        spanDigests: spans.spanDigests,
        checkpoints: spans.checkpoints,
      }),
      compressedSize: this.#compressedSize,
      uncompressedSize,
      spanCount: spans.maxSpanId + 1,
      fileCount,
      needsXattrs: this.#needsXattrs,
      unusable: this.#unusable ?? spans.unusable,
    };
  }
}
