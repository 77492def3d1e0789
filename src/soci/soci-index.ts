import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf, isDigest } from "../oci/digest.ts";
import { parseImageManifest } from "../oci/manifest.ts";
import { OCI_MANIFEST } from "../oci/media-types.ts";
import {
  DISABLE_XATTRS_ANNOTATION,
  LAYER_DIGEST_ANNOTATION,
  LAYER_MEDIA_TYPE_ANNOTATION,
  SOCI_INDEX_V1,
  SOCI_INDEX_V2,
  SPAN_SIZE_ANNOTATION,
  ZTOC_MEDIA_TYPE,
} from "./annotations.ts";
import { encodeManifest } from "./go-json.ts";

export type SociIndexVersion = "v1" | "v2";

/** The artifact that says which zTOC is of which layer. Its manifest form is an OCI image manifest. */
export interface SociIndex {
  readonly version: SociIndexVersion;
  /** zTOCs in the order of the image's layers, bottom first; then prefetch artifacts in that order. */
  readonly blobs: readonly Descriptor[];
  /** The image manifest; v1 always has one, v2 none. */
  readonly subject?: Descriptor;
  readonly annotations: Readonly<Record<string, string>>;
}

/** One zTOC of a SOCI index and what the index says of it. */
export interface ZtocReference {
  readonly descriptor: Descriptor;
  readonly layer: Digest;
  readonly layerMediaType: string | undefined;
  /** Bytes; `undefined` when the index does not say, or says nonsense. */
  readonly spanSize: number | undefined;
  readonly disableXattrs: boolean;
}

/** The content of a SOCI index's config: registries want one, nothing reads it. */
export const SOCI_CONFIG_BYTES: Uint8Array = new TextEncoder().encode("{}");

const ARTIFACT_TYPES = { v1: SOCI_INDEX_V1, v2: SOCI_INDEX_V2 } as const;

/** What registries and stores call a SOCI index of this version. */
export function artifactTypeOfVersion(version: SociIndexVersion): string {
  return ARTIFACT_TYPES[version];
}

/** The descriptor of a SOCI index's config, the same bytes in each. */
export function sociConfigDescriptor(version: SociIndexVersion): Descriptor {
  return {
    mediaType: ARTIFACT_TYPES[version],
    digest: digestOf(SOCI_CONFIG_BYTES),
    size: SOCI_CONFIG_BYTES.length,
  };
}

/** The bytes of a SOCI index: the same as those of the Go tool, so that its digest check passes. */
export function encodeSociIndex(index: SociIndex): Uint8Array {
  return encodeManifest({
    mediaType: OCI_MANIFEST,
    config: sociConfigDescriptor(index.version),
    layers: index.blobs,
    ...(index.subject === undefined ? {} : { subject: index.subject }),
    annotations: index.annotations,
  });
}

/** How a SOCI index of these bytes is referred to. */
export function sociIndexDescriptor(bytes: Uint8Array, version: SociIndexVersion): Descriptor {
  return {
    mediaType: OCI_MANIFEST,
    digest: digestOf(bytes),
    size: bytes.length,
    artifactType: ARTIFACT_TYPES[version],
  };
}

/**
 * Parses a SOCI index that others wrote; size, depth, counts and types are checked. `what` names it in
 * errors. @throws data-loss; unsupported when the manifest is no SOCI index of version 1 or 2
 */
export function decodeSociIndex(bytes: Uint8Array, what = "SOCI index"): SociIndex {
  const manifest = parseImageManifest(bytes, { what });
  const version = versionOf(manifest.config.mediaType);
  if (version === undefined) {
    const type = JSON.stringify(manifest.config.mediaType.slice(0, 100));
    throw new SociError(
      "unsupported",
      `Cannot use ${what}: unknown index version: config media type is ${type}, want "${SOCI_INDEX_V1}" or "${SOCI_INDEX_V2}"`,
    );
  }
  if (manifest.mediaType !== OCI_MANIFEST) {
    throw new SociError(
      "data-loss",
      `Cannot use ${what}: its media type is "${manifest.mediaType}", want "${OCI_MANIFEST}"`,
    );
  }
  return {
    version,
    blobs: manifest.layers,
    ...(manifest.subject === undefined ? {} : { subject: manifest.subject }),
    annotations: manifest.annotations ?? {},
  };
}

/** The version that a config's media type stands for; `undefined` when it is no SOCI index. */
export function versionOf(configMediaType: string): SociIndexVersion | undefined {
  if (configMediaType === SOCI_INDEX_V1) return "v1";
  return configMediaType === SOCI_INDEX_V2 ? "v2" : undefined;
}

/** The zTOCs of an index in its order; blobs that are of no layer or no zTOCs are left out. */
export function ztocReferences(index: SociIndex): readonly ZtocReference[] {
  return index.blobs.flatMap((descriptor) => {
    const annotations = descriptor.annotations ?? {};
    const layer = annotations[LAYER_DIGEST_ANNOTATION];
    if (descriptor.mediaType !== ZTOC_MEDIA_TYPE || layer === undefined || !isDigest(layer)) {
      return [];
    }
    return [
      {
        descriptor,
        layer,
        layerMediaType: annotations[LAYER_MEDIA_TYPE_ANNOTATION],
        spanSize: parseSpanSize(annotations[SPAN_SIZE_ANNOTATION]),
        disableXattrs: annotations[DISABLE_XATTRS_ANNOTATION] === "true",
      },
    ];
  });
}

/** The zTOC of a layer; the first when an index has several of it. `undefined`: the layer is not indexed. */
export function ztocOfLayer(index: SociIndex, layer: Digest): ZtocReference | undefined {
  return ztocReferences(index).find((reference) => reference.layer === layer);
}

function parseSpanSize(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const size = Number(text);
  return Number.isSafeInteger(size) ? size : undefined;
}
