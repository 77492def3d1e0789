import { mapConcurrent } from "../async/map-concurrent.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Descriptor, Platform } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { type ImageIndex, type ImageManifest, parseManifest } from "../oci/manifest.ts";
import { isConfigType, isIndexType, isManifestType } from "../oci/media-types.ts";
import { readImagePlatform } from "../oci/resolve-image.ts";
import { SOCI_INDEX_V2 } from "./annotations.ts";

/** What the entries of an image index are. */
export type ImagePart = PlatformManifest | OtherPart;

/** The manifest of one platform's image. */
export interface PlatformManifest {
  readonly kind: "image";
  /** As it stands in the index. */
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly platform: Platform;
}

/** Signatures, attestations, SOCI indexes, image indexes in the index, blobs, manifests that are not there: never changed. */
export interface OtherPart {
  readonly kind: "soci-v2" | "manifest" | "index" | "blob" | "missing";
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array | undefined;
  /** What must be where it is: blobs, and the manifests of an index. */
  readonly children: readonly Descriptor[];
}

/** An image taken apart, as an index: what is no index becomes one with a single entry. */
export interface ImageParts {
  readonly root: Descriptor;
  readonly index: Pick<ImageIndex, "artifactType" | "subject" | "annotations">;
  /** In the order of the index. */
  readonly parts: readonly ImagePart[];
  /** Entries whose manifests are not there, as in an image of which only some platforms were copied; none are parts, unless they were asked for. */
  readonly missing: readonly Descriptor[];
  readonly isSingle: boolean;
}

const PARALLEL_READS = 8;

export interface ReadImagePartsOptions extends WaitOptions {
  /** Whether entries whose manifests are not there are parts nevertheless, and the index stays what it was: they can be had elsewhere. */
  readonly keepsMissing?: boolean | undefined;
}

/** Reads all manifests that an image's index lists. @throws not-found when it has none, data-loss */
export async function readImageParts(
  source: ImageSource,
  { keepsMissing = false, signal }: ReadImagePartsOptions = {},
): Promise<ImageParts> {
  const root = await source.root({ signal });
  const what = `manifest ${root.digest} of "${source.name}"`;
  const { mediaType } = root;
  const parsed = parseManifest(await source.manifest(root, { signal }), { mediaType, what });
  if (parsed.kind === "manifest") {
    const { digest, size } = root;
    const descriptor = { mediaType, digest, size };
    const part = await readPart(source, descriptor, { signal });
    if (part?.kind !== "image") {
      throw new SociError("failed-precondition", `Cannot convert "${source.name}": it is no image`);
    }
    const alone = { ...part, descriptor: { ...descriptor, platform: part.platform } };
    return { root, index: {}, parts: [alone], missing: [], isSingle: true };
  }
  if (parsed.manifests.some(({ digest }) => digest === root.digest)) {
    throw new SociError("data-loss", `Cannot use ${what}: it lists itself`);
  }
  const read = await mapConcurrent(
    parsed.manifests,
    async (descriptor, inner) => ({
      descriptor,
      part: await readPart(source, descriptor, { signal: inner }),
    }),
    { limit: PARALLEL_READS, signal },
  );
  const missing = read.flatMap(({ part, descriptor }) => (part === undefined ? [descriptor] : []));
  const parts = read.flatMap(({ part, descriptor }): readonly ImagePart[] => {
    if (part !== undefined) return [part];
    return keepsMissing ? [{ kind: "missing", descriptor, bytes: undefined, children: [] }] : [];
  });
  if (missing.length === read.length) {
    throw new SociError(
      "not-found",
      `Cannot convert "${source.name}": manifest list contains no entries with available blobs`,
    );
  }
  // What is said of all entries need not hold for some: as with the Go tool, it is then a new index.
  const isWhole = keepsMissing || missing.length === 0;
  return { root, index: isWhole ? parsed : {}, parts, missing, isSingle: false };
}

async function readPart(
  source: ImageSource,
  descriptor: Descriptor,
  options: WaitOptions,
): Promise<ImagePart | undefined> {
  const { mediaType, digest } = descriptor;
  if (!isManifestType(mediaType) && !isIndexType(mediaType)) {
    return { kind: "blob", descriptor, bytes: undefined, children: [descriptor] };
  }
  const bytes = await readIfThere(source, descriptor, options);
  if (bytes === undefined) return undefined;
  const manifest = parseManifest(bytes, { mediaType, what: `manifest ${digest}` });
  if (manifest.kind === "index") {
    return { kind: "index", descriptor, bytes, children: manifest.manifests };
  }
  const children = [manifest.config, ...manifest.layers];
  const isSociIndex =
    descriptor.artifactType === SOCI_INDEX_V2 || manifest.config.mediaType === SOCI_INDEX_V2;
  if (isSociIndex) return { kind: "soci-v2", descriptor, bytes, children };
  if (!isImage(descriptor, manifest)) return { kind: "manifest", descriptor, bytes, children };
  const platform = descriptor.platform ?? (await readImagePlatform(source, manifest, options));
  return { kind: "image", descriptor, manifest, platform };
}

// Attestations of BuildKit are manifests like images, but for their platform and annotation.
// https://github.com/moby/buildkit/blob/v0.24.0/docs/attestations/attestation-storage.md
function isImage({ platform, annotations, artifactType }: Descriptor, manifest: ImageManifest) {
  return (
    isConfigType(manifest.config.mediaType) &&
    [artifactType, manifest.artifactType].every(
      (type) => (type ?? "") === "" || isConfigType(type ?? ""),
    ) &&
    platform?.os !== "unknown" &&
    annotations?.["vnd.docker.reference.type"] === undefined
  );
}

async function readIfThere(
  source: ImageSource,
  descriptor: Descriptor,
  options: WaitOptions,
): Promise<Uint8Array | undefined> {
  try {
    return await source.manifest(descriptor, options);
  } catch (error) {
    if (isKind(error, "not-found")) return undefined;
    throw error;
  }
}
