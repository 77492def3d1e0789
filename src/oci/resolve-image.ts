import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Descriptor, Platform } from "./descriptor.ts";
import type { ImageSource } from "./image-source.ts";
import { type ImageIndex, type ImageManifest, parseManifest } from "./manifest.ts";
import { isConfigType, isIndexType, isManifestType } from "./media-types.ts";
import { readImageConfig } from "./read-image-config.ts";
import { formatPlatform, type MatchOptions, normalizePlatform, platformRank } from "./platform.ts";

/** The manifest of an image for one platform. */
export interface ResolvedImage {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly manifest: ImageManifest;
  /** What the image's name stands for: an index, or the manifest itself. */
  readonly root: Descriptor;
  /** As an image index says; of a single manifest only the config knows. */
  readonly platform: Platform | undefined;
}

export interface ResolveImageOptions extends WaitOptions, MatchOptions {
  /** Which manifest of an image index; a single manifest is taken as it is. */
  readonly platform: Platform;
  /** Told which manifest it is before that is fetched, so that other requests can go beside it. */
  readonly onSelected?: ((manifest: Descriptor) => void) | undefined;
}

interface Candidate {
  readonly descriptor: Descriptor;
  readonly platform: Platform | undefined;
}

// Indexes in indexes exist, but not deep ones; a cycle cannot be made, a long chain can.
const MAX_NESTING = 4;
const MAX_CANDIDATES = 1024;

/** The manifest that serves a platform best. @throws not-found when there is none for it */
export async function resolveImage(
  source: ImageSource,
  { platform, strict = false, onSelected, signal }: ResolveImageOptions,
): Promise<ResolvedImage> {
  const root = await source.root({ signal });
  const candidates = await listCandidates(source, root, { signal });
  const [best] = candidates
    .flatMap((candidate) => {
      const rank =
        candidate.platform === undefined
          ? Number.POSITIVE_INFINITY
          : platformRank(platform, candidate.platform, { strict });
      return rank === undefined ? [] : [{ candidate, rank }];
    })
    .toSorted((left, right) => (left.rank === right.rank ? 0 : left.rank - right.rank));
  if (best === undefined) {
    const found = candidates.flatMap((one) => (one.platform === undefined ? [] : [one.platform]));
    throw new SociError(
      "not-found",
      `Cannot find platform "${formatPlatform(platform)}" in "${source.name}"`,
      { hint: `It has ${found.map(formatPlatform).join(", ") || "no images"}` },
    );
  }
  onSelected?.(best.candidate.descriptor);
  return await load(source, { root, ...best.candidate }, { signal });
}

/** The manifests of all platforms of an image, in the order of its index; attestations are left out. */
export async function resolveAllImages(
  source: ImageSource,
  { signal }: WaitOptions = {},
): Promise<ResolvedImage[]> {
  const root = await source.root({ signal });
  const images: ResolvedImage[] = [];
  for (const candidate of await listCandidates(source, root, { signal })) {
    images.push(await load(source, { root, ...candidate }, { signal }));
  }
  return images;
}

/** The platform that an image's config states, in containerd's normal form. */
export async function readImagePlatform(
  source: ImageSource,
  manifest: ImageManifest,
  options: WaitOptions = {},
): Promise<Platform> {
  return normalizePlatform((await readImageConfig(source, manifest, options)).platform);
}

async function listCandidates(
  source: ImageSource,
  root: Descriptor,
  options: WaitOptions,
): Promise<Candidate[]> {
  const found: Candidate[] = [];
  const visit = async (descriptor: Descriptor, depth: number): Promise<void> => {
    if (!isIndexType(descriptor.mediaType)) {
      found.push({ descriptor, platform: descriptor.platform });
      return;
    }
    if (depth >= MAX_NESTING) {
      throw new SociError(
        "data-loss",
        `Cannot use "${source.name}": image indexes nest more than ${MAX_NESTING} deep`,
      );
    }
    const index = await readIndex(source, descriptor, options);
    for (const child of index.manifests.filter(isPartOfImage)) {
      if (found.length >= MAX_CANDIDATES) {
        throw new SociError(
          "data-loss",
          `Cannot use "${source.name}": it has more than ${MAX_CANDIDATES} manifests`,
        );
      }
      await visit(child, depth + 1);
    }
  };
  await visit(root, 0);
  return found;
}

/** Not artifacts that lie in the index beside the images: SOCI indexes, attestations. */
function isPartOfImage({ mediaType, artifactType, platform }: Descriptor): boolean {
  return (
    (isManifestType(mediaType) || isIndexType(mediaType)) &&
    (artifactType === undefined || artifactType === "" || isConfigType(artifactType)) &&
    platform?.os !== "unknown"
  );
}

async function readIndex(
  source: ImageSource,
  descriptor: Descriptor,
  options: WaitOptions,
): Promise<ImageIndex> {
  const parsed = await readManifest(source, descriptor, options);
  if (parsed.manifest.kind !== "index") {
    throw new SociError("data-loss", `Cannot use ${descriptor.digest}: it is no image index`);
  }
  return parsed.manifest;
}

async function load(
  source: ImageSource,
  { root, descriptor, platform }: Candidate & { readonly root: Descriptor },
  options: WaitOptions,
): Promise<ResolvedImage> {
  const { bytes, manifest } = await readManifest(source, descriptor, options);
  if (manifest.kind !== "manifest") {
    throw new SociError("data-loss", `Cannot use ${descriptor.digest}: it is an image index`);
  }
  return { descriptor, bytes, manifest, root, platform };
}

async function readManifest(
  source: ImageSource,
  descriptor: Descriptor,
  options: WaitOptions,
): Promise<{ readonly bytes: Uint8Array; readonly manifest: ImageManifest | ImageIndex }> {
  try {
    const bytes = await source.manifest(descriptor, options);
    const { mediaType, digest } = descriptor;
    const manifest = parseManifest(bytes, { mediaType, what: `manifest ${digest}` });
    return { bytes, manifest };
  } catch (cause) {
    if (isKind(cause, "data-loss", "not-found")) {
      throw new SociError(cause.kind, `Cannot use image "${source.name}"`, { cause });
    }
    throw cause;
  }
}
