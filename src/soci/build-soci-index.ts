import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { BUILD_TOOL_IDENTIFIER } from "../ztoc/ztoc.ts";
import {
  BUILD_TOOL_ANNOTATION,
  DISABLE_XATTRS_ANNOTATION,
  LAYER_DIGEST_ANNOTATION,
  LAYER_MEDIA_TYPE_ANNOTATION,
  PREFETCH_MEDIA_TYPE,
  SPAN_SIZE_ANNOTATION,
  ZTOC_MEDIA_TYPE,
} from "./annotations.ts";
import type { SociIndex, SociIndexVersion } from "./soci-index.ts";

/** A zTOC that has been built, or found, for a layer. */
export interface LayerZtoc {
  readonly digest: Digest;
  /** Bytes of the zTOC. */
  readonly size: number;
  readonly layer: Descriptor;
  /** As it was asked for, bytes. */
  readonly spanSize: number;
  /** With the optimization `xattr`, for a layer of which no entry needsXattrs(). */
  readonly disableXattrs: boolean;
}

/** A prefetch artifact that has been built for a layer. */
export interface LayerPrefetch {
  readonly digest: Digest;
  readonly size: number;
  readonly layer: Digest;
}

export interface BuildSociIndexOptions {
  readonly version: SociIndexVersion;
  /** The platform's image manifest: becomes the subject of a v1 index. */
  readonly imageManifest: Descriptor;
  /** In the order of the image's layers. */
  readonly prefetch?: readonly LayerPrefetch[];
}

/** The SOCI index of an image's zTOCs, given in the order of its layers. @throws failed-precondition when there are none */
export function buildSociIndex(
  ztocs: readonly LayerZtoc[],
  { version, imageManifest, prefetch = [] }: BuildSociIndexOptions,
): SociIndex {
  if (ztocs.length === 0) {
    throw new SociError(
      "failed-precondition",
      "no ztocs created, all layers either skipped or produced errors",
    );
  }
  const { mediaType, digest, size } = imageManifest;
  return {
    version,
    blobs: [...ztocs.map(ztocDescriptor), ...prefetch.map(prefetchDescriptor)],
    ...(version === "v1" ? { subject: { mediaType, digest, size } } : {}),
    annotations: { [BUILD_TOOL_ANNOTATION]: BUILD_TOOL_IDENTIFIER },
  };
}

/** The descriptor of a zTOC as a SOCI index holds it. */
export function ztocDescriptor(ztoc: LayerZtoc): Descriptor {
  return {
    mediaType: ZTOC_MEDIA_TYPE,
    digest: ztoc.digest,
    size: ztoc.size,
    annotations: {
      [LAYER_DIGEST_ANNOTATION]: ztoc.layer.digest,
      [LAYER_MEDIA_TYPE_ANNOTATION]: ztoc.layer.mediaType,
      [SPAN_SIZE_ANNOTATION]: String(ztoc.spanSize),
      ...(ztoc.disableXattrs ? { [DISABLE_XATTRS_ANNOTATION]: "true" } : {}),
    },
  };
}

function prefetchDescriptor({ digest, size, layer }: LayerPrefetch): Descriptor {
  return {
    mediaType: PREFETCH_MEDIA_TYPE,
    digest,
    size,
    annotations: { [LAYER_DIGEST_ANNOTATION]: layer },
  };
}
