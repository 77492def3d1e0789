import type { Descriptor, Platform } from "../oci/descriptor.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from "../oci/media-types.ts";
import { isSamePlatform } from "../oci/spelled-platform.ts";
import {
  IMAGE_MANIFEST_ANNOTATION,
  INDEX_DIGEST_ANNOTATION,
  SOCI_INDEX_V2,
} from "./annotations.ts";
import { encodeImageIndex, encodeManifest } from "./go-json.ts";
import type { ImageParts, ImagePart, PlatformManifest } from "./image-parts.ts";

/** A platform's manifest that has got a v2 SOCI index. */
export interface IndexedPart {
  readonly part: PlatformManifest;
  /** As the SOCI index's entry will state it. */
  readonly platform: Platform;
  /** Digest and size of the SOCI index. */
  readonly sociIndex: Pick<Descriptor, "digest" | "size">;
}

/** A document and how it is referred to. */
export interface WrittenManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

export interface ConvertedParts {
  readonly root: WrittenManifest;
  /** What has become of each manifest of a platform, by its digest of before. */
  readonly manifests: ReadonlyMap<Digest, WrittenManifest>;
  /** Entries that stay as they are. SOCI indexes that were replaced are not among them. */
  readonly kept: readonly Exclude<ImagePart, PlatformManifest>[];
}

/**
 * The OCI index of an image with v2 SOCI indexes, byte for byte as the Go tool writes it where that does not
 * lose anything: every platform's manifest in OCI's types and canonical form, its descriptor with its
 * annotations; all else untouched. The SOCI index of a platform takes the place of the one of before, or
 * comes last. The same input gives the same bytes.
 */
export function convertParts(
  { index, parts }: Pick<ImageParts, "index" | "parts">,
  indexed: readonly IndexedPart[],
): ConvertedParts {
  const manifests = new Map<Digest, WrittenManifest>();
  for (const part of parts) {
    if (part.kind !== "image") continue;
    const sociIndex = indexed.find((one) => one.part.descriptor.digest === part.descriptor.digest);
    manifests.set(part.descriptor.digest, convertManifest(part, sociIndex?.sociIndex.digest));
  }
  const entries: Descriptor[] = [];
  const kept: ConvertedParts["kept"][number][] = [];
  const added = indexed.map((one) => ({ one, entry: sociEntry(one, manifests), isPlaced: false }));
  for (const part of parts) {
    if (part.kind === "image") {
      entries.push(imageEntry(part, manifests));
      continue;
    }
    const places = part.kind === "soci-v2" ? added.filter(({ one }) => isIndexOf(part, one)) : [];
    const place = places.find(({ isPlaced }) => !isPlaced);
    if (place !== undefined) {
      place.isPlaced = true;
      entries.push(place.entry);
    } else if (places.length === 0) {
      entries.push(keptEntry(part, manifests));
      kept.push(part);
    }
  }
  entries.push(...added.filter(({ isPlaced }) => !isPlaced).map(({ entry }) => entry));
  const bytes = encodeImageIndex({
    ...(index.artifactType === undefined ? {} : { artifactType: index.artifactType }),
    ...(index.subject === undefined ? {} : { subject: index.subject }),
    ...(index.annotations === undefined ? {} : { annotations: index.annotations }),
    mediaType: OCI_INDEX,
    manifests: entries,
  });
  return { root: written(OCI_INDEX, bytes), manifests, kept };
}

function convertManifest(
  { manifest }: PlatformManifest,
  sociIndex: Digest | undefined,
): WrittenManifest {
  const annotations = {
    ...manifest.annotations,
    ...(sociIndex === undefined ? {} : { [INDEX_DIGEST_ANNOTATION]: sociIndex }),
  };
  const bytes = encodeManifest({
    mediaType: OCI_MANIFEST,
    ...(manifest.artifactType === undefined ? {} : { artifactType: manifest.artifactType }),
    config: { ...manifest.config, mediaType: OCI_CONFIG },
    layers: manifest.layers,
    ...(manifest.subject === undefined ? {} : { subject: manifest.subject }),
    annotations,
  });
  const { descriptor } = written(OCI_MANIFEST, bytes);
  return { descriptor: { ...descriptor, annotations }, bytes };
}

function written(mediaType: string, bytes: Uint8Array): WrittenManifest {
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes };
}

// The annotations of a platform's manifest become its descriptor's, as with the Go tool: that is what its
// digests are made of. What embeds the manifest's bytes of before must not stay.
function imageEntry(
  { descriptor: { data: _stale, annotations: _dropped, ...descriptor } }: PlatformManifest,
  manifests: ConvertedParts["manifests"],
): Descriptor {
  return { ...descriptor, ...manifests.get(descriptor.digest)?.descriptor };
}

function sociEntry(
  { part, platform, sociIndex: { digest, size } }: IndexedPart,
  manifests: ConvertedParts["manifests"],
): Descriptor {
  const image = manifests.get(part.descriptor.digest)?.descriptor.digest ?? part.descriptor.digest;
  return {
    mediaType: OCI_MANIFEST,
    digest,
    size,
    annotations: { [IMAGE_MANIFEST_ANNOTATION]: image },
    platform,
    artifactType: SOCI_INDEX_V2,
  };
}

/** Whether an entry is the SOCI index of before of a platform that has got another one. */
function isIndexOf(
  { descriptor: { annotations, platform } }: ImagePart,
  { part, platform: wanted }: IndexedPart,
): boolean {
  if (annotations?.[IMAGE_MANIFEST_ANNOTATION] === part.descriptor.digest) return true;
  return platform !== undefined && isSamePlatform(platform, wanted);
}

// A SOCI index of a manifest that has only changed its form goes on meaning it.
function keptEntry(part: ImagePart, manifests: ConvertedParts["manifests"]): Descriptor {
  const { descriptor } = part;
  const image = descriptor.annotations?.[IMAGE_MANIFEST_ANNOTATION];
  const now = [...manifests].find(([before]) => before === image)?.[1].descriptor.digest;
  if (part.kind !== "soci-v2" || now === undefined) return descriptor;
  return {
    ...descriptor,
    annotations: { ...descriptor.annotations, [IMAGE_MANIFEST_ANNOTATION]: now },
  };
}
