import { type ByteLog, MemoryByteLog } from "../../src/bytes/byte-log.ts";
import type { InflateEngine } from "../../src/deflate/inflate-engine.ts";
import { IngestSession } from "../../src/image/ingest-session.ts";
import type { LayerIngester } from "../../src/image/layer-ingester.ts";

export interface LocalIngesterOptions {
  readonly cacheRoot: string;
  readonly engine: () => InflateEngine;
  /** Makes the place for one layer's checkpoints; it is disposed of when the layer is done. */
  readonly checkpoints?: () => ByteLog & Partial<Disposable>;
}

/** A LayerIngester that works in this thread. */
export function localIngester({
  cacheRoot,
  engine,
  checkpoints = () => new MemoryByteLog(),
}: LocalIngesterOptions): LayerIngester {
  return async (source, { layer, target, diffId, onSize, signal }, use) => {
    const log = checkpoints();
    try {
      await using session = await IngestSession.start({
        cacheRoot,
        layer,
        target,
        checkpoints: log,
        engine,
      });
      for await (const chunk of source) {
        signal?.throwIfAborted();
        await session.push(chunk);
        await onSize?.(session.size);
      }
      const made = await session.finish(await diffId());
      if (made === undefined) return await use({ ztoc: undefined });
      const { encoded, summary } = made;
      async function* chunks(): AsyncGenerator<Uint8Array> {
        yield* encoded.chunks();
      }
      return await use({ ztoc: { ...summary, chunks } });
    } finally {
      log[Symbol.dispose]?.();
    }
  };
}
