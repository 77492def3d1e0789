import { mapConcurrent } from "../async/map-concurrent.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { LayerGeometry } from "../cache/layer-geometry.ts";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { MAX_JSON_BYTES } from "../oci/json-document.ts";
import { LAYER_DIGEST_ANNOTATION, PREFETCH_MEDIA_TYPE } from "../soci/annotations.ts";
import { decodePrefetch, type SpanRange, spansToPrefetch } from "../soci/prefetch.ts";
import type { SociIndex } from "../soci/soci-index.ts";

/** Spans of a layer that its image's index says to fetch ahead. */
export interface PrefetchSpans {
  readonly layer: Digest;
  /** In order, at least one, all of them spans that the layer has. */
  readonly ranges: readonly SpanRange[];
}

export interface FindPrefetchOptions extends WaitOptions {
  readonly source: ImageSource;
  /** Of layers of which spans can be fetched; undefined for others. */
  readonly geometryOf: (layer: Digest) => LayerGeometry | undefined;
  readonly log: Logger;
}

const PARALLEL = 8;

/** What an index says to fetch ahead. An artifact that cannot be had or used is left out, with a warning. */
export async function findPrefetch(
  index: SociIndex,
  options: FindPrefetchOptions,
): Promise<readonly PrefetchSpans[]> {
  const artifacts = new Map<Digest, { readonly blob: Descriptor; geometry: LayerGeometry }>();
  for (const blob of index.blobs) {
    if (blob.mediaType !== PREFETCH_MEDIA_TYPE) continue;
    const layer = blob.annotations?.[LAYER_DIGEST_ANNOTATION] ?? "";
    const geometry = isDigest(layer) ? options.geometryOf(layer) : undefined;
    if (isDigest(layer) && geometry !== undefined) artifacts.set(layer, { blob, geometry });
  }
  const found = await mapConcurrent(
    [...artifacts],
    async ([layer, { blob, geometry }], signal) => ({
      layer,
      ranges: await rangesOf(blob, geometry, { ...options, signal }),
    }),
    { limit: PARALLEL, signal: options.signal },
  );
  return found.filter(({ ranges }) => ranges.length > 0);
}

async function rangesOf(
  blob: Descriptor,
  { spanCount }: LayerGeometry,
  { source, log, signal }: FindPrefetchOptions,
): Promise<readonly SpanRange[]> {
  try {
    const what = `prefetch artifact ${blob.digest}`;
    return spansToPrefetch(decodePrefetch(await readBlob(source, blob, signal), what), spanCount);
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof SociError)) throw error;
    log.warn("prefetch artifact is of no use", { digest: blob.digest, reason: error.message });
    return [];
  }
}

async function readBlob(
  source: ImageSource,
  blob: Descriptor,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (blob.size > MAX_JSON_BYTES) {
    throw new SociError(
      "data-loss",
      `Cannot use prefetch artifact ${blob.digest}: it has ${blob.size} bytes, want at most ${MAX_JSON_BYTES}`,
    );
  }
  const bytes = new Uint8Array(blob.size);
  let length = 0;
  for await (const chunk of source.blob(blob, { signal })) {
    bytes.set(chunk, length);
    length += chunk.length;
  }
  return bytes;
}
