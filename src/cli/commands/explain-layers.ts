import { mapConcurrent } from "../../async/map-concurrent.ts";
import type { WaitOptions } from "../../async/wait-options.ts";
import { SociError } from "../../errors.ts";
import { decodeLayerZtoc, readZtoc } from "../../image/open-layer.ts";
import { NO_LOG } from "../../observability/log.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import type { ImageSource } from "../../oci/image-source.ts";
import { ZTOC_MEDIA_TYPE } from "../../soci/annotations.ts";
import { DEFAULT_MIN_LAYER_SIZE } from "../../soci/layer-plan.ts";
import type { LocalStore } from "../../soci/local-store.ts";
import { type SociIndex, ztocReferences } from "../../soci/soci-index.ts";
import { DEFAULT_SPAN_SIZE } from "../../ztoc/ztoc.ts";
import { formatByteSize } from "../byte-size.ts";

/** A layer as its image and the image's SOCI index have it. */
export interface ExplainedLayer {
  readonly descriptor: Descriptor;
  readonly encoding: LayerEncoding;
  /** By which it is read span by span; undefined: it has to be downloaded whole. */
  readonly ztoc: UsableZtoc | undefined;
  /** Why there is none that can be used; empty where there is. */
  readonly reason: string;
}

/** What a media type says of how a layer is packed. */
export type LayerEncoding = "gzip" | "zstd" | "tar" | "unknown";

export interface UsableZtoc {
  readonly digest: Digest;
  readonly size: number;
  readonly spans: number;
  /** Entries of the layer's tar. */
  readonly files: number;
  /** Of the layer's tar. */
  readonly uncompressedSize: number;
}

export interface ExplainOptions extends WaitOptions {
  readonly source: ImageSource;
  /** Undefined: the image has none. */
  readonly index: SociIndex | undefined;
  /** Where zTOCs may be without a request. */
  readonly store: LocalStore | undefined;
  /** Take also what this host alone has: zTOCs that were made here, of layers that the index leaves out. */
  readonly ownZtocs?: boolean;
}

/** zTOCs fetched at once. */
const PARALLEL = 8;

/** Finds out of each layer whether it can be read lazily: its zTOC is fetched and looked at, of the layer nothing is. */
export async function explainLayers(
  layers: readonly Descriptor[],
  { source, index, store, ownZtocs = false, signal }: ExplainOptions,
): Promise<readonly ExplainedLayer[]> {
  const references = index === undefined ? [] : ztocReferences(index);
  // The first when an index has several of a layer.
  const named = new Map(references.toReversed().map((one) => [one.layer, one.descriptor]));
  return await mapConcurrent(
    layers,
    async (descriptor, inner): Promise<ExplainedLayer> => {
      const encoding = encodingOf(descriptor.mediaType);
      const ztoc =
        named.get(descriptor.digest) ??
        (index !== undefined && ownZtocs ? await localZtoc(descriptor.digest, store) : undefined);
      const options = { source, store, log: NO_LOG, signal: inner };
      const found =
        ztoc === undefined
          ? whyNone(descriptor, index !== undefined)
          : await lookAt(descriptor, ztoc, options);
      return typeof found === "string"
        ? { descriptor, encoding, ztoc: undefined, reason: found }
        : { descriptor, encoding, ztoc: found, reason: "" };
    },
    { limit: PARALLEL, signal },
  );
}

/** For layers that the index leaves out, the daemon takes what was made on this host. */
async function localZtoc(
  layer: Digest,
  store: LocalStore | undefined,
): Promise<Descriptor | undefined> {
  const found = await store?.findZtoc(layer, DEFAULT_SPAN_SIZE);
  if (found === undefined) return undefined;
  return { mediaType: ZTOC_MEDIA_TYPE, digest: found.digest, size: found.size };
}

async function lookAt(
  layer: Descriptor,
  ztoc: Descriptor,
  options: Parameters<typeof readZtoc>[2],
): Promise<UsableZtoc | string> {
  const { digest, size } = ztoc;
  try {
    const found = decodeLayerZtoc(layer, await readZtoc(layer, ztoc, options));
    return {
      digest,
      size,
      spans: found.spanDigests.length,
      files: found.files.length,
      uncompressedSize: found.uncompressedArchiveSize,
    };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof SociError)) throw error;
    return `zTOC ${digest} is of no use: ${error.message}`;
  }
}

function whyNone({ mediaType, size }: Descriptor, isIndexed: boolean): string {
  if (encodingOf(mediaType) === "zstd") return "there are no zTOCs of zstd";
  if (!isIndexed) return "the image has no SOCI index";
  if (size >= DEFAULT_MIN_LAYER_SIZE) return "the index has no zTOC of it";
  return `the index leaves it out, as it does layers below ${formatByteSize(DEFAULT_MIN_LAYER_SIZE)} by default`;
}

function encodingOf(mediaType: string): LayerEncoding {
  const match = /[.+](gzip|zstd)$/.exec(mediaType)?.[1];
  if (match === "gzip" || match === "zstd") return match;
  return mediaType.endsWith(".tar") ? "tar" : "unknown";
}
