import { type ByteLog, MemoryByteLog } from "../bytes/byte-log.ts";
import type { InflateEngine } from "../deflate/inflate-engine.ts";
import type { BuiltZtoc } from "./ztoc-builder.ts";
import { ZtocBuilder } from "./ztoc-builder.ts";
import type { ZtocSummary } from "./ztoc-summary.ts";
import type { CompressionAlgorithm } from "./ztoc.ts";

/** A zTOC that has been built, wherever its bytes are. */
export interface ZtocResult extends ZtocSummary {
  /** Its bytes, front to back; each chunk dies with the next step. */
  chunks(): AsyncIterable<Uint8Array>;
}

export interface ZtocRequest {
  readonly algorithm: CompressionAlgorithm;
  readonly spanSize: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Builds the zTOC of the layer that `source` streams, hands it to `use`, and returns what that
 * returned; the result is only good until then. In this thread or in another: callers cannot tell.
 * @throws data-loss, unsupported, invalid-argument, and whatever `source` and `use` throw
 */
export type ZtocFactory = <T>(
  source: AsyncIterable<Uint8Array>,
  request: ZtocRequest,
  use: (result: ZtocResult) => Promise<T>,
) => Promise<T>;

export interface LocalFactoryOptions {
  readonly engine: () => InflateEngine;
  /** Makes the place for one layer's checkpoints; it is disposed of when the layer is done. */
  readonly checkpoints?: () => ByteLog & Partial<Disposable>;
}

/** A factory that works in this thread. */
export function localZtocFactory({
  engine,
  checkpoints = () => new MemoryByteLog(),
}: LocalFactoryOptions): ZtocFactory {
  return async (source, { algorithm, spanSize, signal }, use) => {
    const log = checkpoints();
    try {
      const builder = new ZtocBuilder({ algorithm, engine, spanSize, checkpoints: log });
      for await (const chunk of source) {
        signal?.throwIfAborted();
        builder.push(chunk);
      }
      const built = builder.finish();
      return await use({ ...summaryOf(built), chunks: () => chunksOf(built) });
    } finally {
      log[Symbol.dispose]?.();
    }
  };
}

async function* chunksOf({ encoded }: BuiltZtoc): AsyncIterable<Uint8Array> {
  yield* encoded.chunks();
}

/** The summary alone, as it travels between threads. */
export function summaryOf(built: BuiltZtoc): ZtocSummary {
  return {
    size: built.encoded.size,
    compressedSize: built.compressedSize,
    uncompressedSize: built.uncompressedSize,
    spanCount: built.spanCount,
    fileCount: built.fileCount,
    needsXattrs: built.needsXattrs,
    unusable: built.unusable,
  };
}
