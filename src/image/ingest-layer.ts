import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/fs-errors.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { verifyStream } from "../oci/verified-stream.ts";
import { LayerStream } from "../soci/layer-stream.ts";
import type { LocalStore } from "../soci/local-store.ts";
import { DEFAULT_SPAN_SIZE } from "../ztoc/ztoc.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { ReadAhead } from "./read-ahead.ts";
import { IngestRoom } from "./ingest-room.ts";
import type { IngestRequest, IngestResult, IngestTarget, LayerIngester } from "./layer-ingester.ts";

export interface ReadWholeOptions extends WaitOptions {
  readonly source: ImageSource;
  /** Where the zTOC is kept that is made on the way, where it takes any. */
  readonly store?: Partial<Pick<LocalStore, "putZtoc">> | undefined;
  readonly ingest: LayerIngester;
  /** What the uncompressed bytes must be; undefined: nobody knows. */
  readonly diffId: () => Promise<Digest | undefined>;
  readonly log: Logger;
  readonly onBytes?: ((count: number) => void) | undefined;
  readonly onSize?: IngestRequest["onSize"];
  /** Memory for the starts of layers that wait for a thread; without it nothing is read ahead. */
  readonly ahead?: ByteBudget | undefined;
}

export interface IngestLayerOptions extends Omit<ReadWholeOptions, "onSize"> {
  readonly cache: LayerCache;
}

const AHEAD_BYTES = 1 << 20;

const WITH_SPANS: IngestTarget = { kind: "new", withSpans: true };

/** How long until it is looked again whether another process is done with a layer. */
const POLL_MS = 50;

/**
 * A layer taken whole into the cache, or as another process has done so meanwhile: of several that
 * want the same layer one reads it. @throws data-loss naming the layer and what is wrong with it,
 * failed-precondition when there is no room, and what the source throws
 */
export async function ingestLayer(
  layer: Descriptor,
  options: IngestLayerOptions,
): Promise<CachedLayer> {
  const { cache, signal } = options;
  for (;;) {
    signal?.throwIfAborted();
    using claim = cache.claimIngest(layer.digest);
    const opened = await cache.openLayer(layer.digest);
    if (opened !== undefined) return opened;
    if (claim === undefined) {
      await delay(POLL_MS, { signal });
      continue;
    }
    using room = new IngestRoom({ cache, layer: layer.digest });
    const onSize = (bytes: number) => room.grow(bytes, { signal });
    await readWhole(layer, WITH_SPANS, { ...options, onSize });
    room.keep();
    const made = await cache.openLayer(layer.digest);
    if (made !== undefined) return made;
    throw new SociError(
      "unavailable",
      `Cannot keep layer ${layer.digest}: it has just been removed from the cache`,
    );
  }
}

/**
 * Reads a layer whole into its target: once more past all caches when its bytes were wrong, and
 * without spans when it has none that can be used.
 */
export async function readWhole(
  layer: Descriptor,
  target: IngestTarget,
  options: ReadWholeOptions,
): Promise<void> {
  const { source, log, signal } = options;
  const what = `layer ${layer.digest} of "${source.name}"`;
  try {
    await passOver(layer, source.blob(layer, { signal }), { ...options, target });
  } catch (error) {
    // Another layer has failed: what that did to this one is no fault of its bytes.
    signal?.throwIfAborted();
    if (error instanceof WrongBytes) {
      log.warn("layer was wrong and is fetched again", {
        layer: layer.digest,
        reason: error.cause.message,
      });
      const range = { start: 0, end: layer.size, isFresh: true, signal };
      const bytes = verifyStream(source.blobRange(layer, range), layer, what);
      try {
        await passOver(layer, bytes, { ...options, target });
      } catch (again) {
        throw again instanceof WrongBytes ? again.cause : again;
      }
    } else if (target === WITH_SPANS && isKind(error, "unsupported")) {
      log.info("layer is read again, for want of spans", {
        layer: layer.digest,
        reason: error.message,
      });
      await readWhole(layer, { kind: "new", withSpans: false }, options);
    } else {
      throw error;
    }
  }
}

/** The source's bytes are not those of the layer: the layer itself is not to blame. */
class WrongBytes extends Error {
  override readonly cause: SociError;

  constructor(cause: SociError) {
    super(cause.message);
    this.cause = cause;
  }
}

async function passOver(
  layer: Descriptor,
  bytes: AsyncIterable<Uint8Array>,
  options: ReadWholeOptions & { readonly target: IngestTarget },
): Promise<void> {
  const { ingest, diffId, target, onBytes, onSize, ahead, signal } = options;
  // Small layers come while others are worked on; of large ones, the start.
  const aheadBytes = Math.min(layer.size, AHEAD_BYTES);
  using memory = await ahead?.acquire(aheadBytes, { signal });
  await using early = new ReadAhead(bytes, memory === undefined ? 0 : aheadBytes);
  const stream = new LayerStream(early, (count) => onBytes?.(count));
  let isIn = false;
  try {
    await ingest(
      stream,
      { layer: layer.digest, target, diffId, onSize, signal },
      async (result) => {
        isIn = true;
        await keepZtoc(layer, result, options);
      },
    );
  } catch (error) {
    signal?.throwIfAborted();
    if (isIn || !isKind(error, "data-loss")) throw error;
    await drain(stream);
    throw new SociError(
      "data-loss",
      `Cannot unpack layer ${layer.digest} of "${options.source.name}": ${error.message}`,
      { cause: error },
    );
  } finally {
    await stream.close();
  }
}

async function keepZtoc(
  { digest }: Descriptor,
  { ztoc }: IngestResult,
  { store, log, signal }: ReadWholeOptions,
): Promise<void> {
  if (ztoc === undefined || store?.putZtoc === undefined) return;
  try {
    await store.putZtoc(ztoc.chunks(), {
      layer: digest,
      spanSize: DEFAULT_SPAN_SIZE,
      size: ztoc.size,
      signal,
    });
  } catch (error) {
    // The layer itself is in the cache: it can be read, and its zTOC be made another time.
    if (!isErrno(error, "ENOSPC", "EDQUOT") && !isKind(error, "unavailable")) throw error;
    log.warn("zTOC is not kept", { layer: digest, error });
  }
}

/** Reads on to where the blob's digest is checked. */
async function drain(stream: LayerStream): Promise<void> {
  try {
    await stream.drain();
  } catch (error) {
    throw isKind(error, "data-loss") ? new WrongBytes(error) : error;
  }
}
