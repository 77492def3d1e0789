import { mapConcurrent } from "../async/map-concurrent.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Descriptor, Platform } from "../oci/descriptor.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type { ImageDestination } from "../oci/image-destination.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { LayoutWriter } from "../oci/layout-writer.ts";
import { parseManifest } from "../oci/manifest.ts";
import { isIndexType, isManifestType, OCI_MANIFEST } from "../oci/media-types.ts";
import { formatPlatform } from "../oci/platform.ts";
import { buildSociIndex } from "./build-soci-index.ts";
import {
  type ConvertedParts,
  convertParts,
  type IndexedPart,
  type WrittenManifest,
} from "./convert-parts.ts";
import { type ImagePart, type ImageParts, readImageParts } from "./image-parts.ts";
import {
  type IndexedLayers,
  indexLayers,
  type IndexLayersOptions,
  type LayerProgress,
} from "./index-layers.ts";
import { selectParts, type SelectedPart } from "./select-parts.ts";
import {
  encodeSociIndex,
  SOCI_CONFIG_BYTES,
  type SociIndex,
  sociConfigDescriptor,
} from "./soci-index.ts";
import { StagedBlobs } from "./staged-blobs.ts";

export interface ConvertImageOptions extends Omit<IndexLayersOptions, "source" | "onRead"> {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  readonly platforms: readonly Platform[] | "all" | undefined;
  /** Where layers are kept that are needed twice, if not at the destination; without it, they are read twice. */
  readonly stage?: LayoutWriter | undefined;
  /** Whether the sink's list is to hold the new SOCI indexes. */
  readonly isListed: boolean;
  /** A blob's reading begins; what is returned is told of its bytes and its end. */
  readonly onRead?: (blob: Descriptor) => LayerProgress;
  /** An entry of the image's index names what is not there: it will not be in the new index. */
  readonly onMissing?: (entry: Descriptor) => void;
  /** Whether such an entry stays in the new index as it is: its manifest can be had elsewhere. */
  readonly keepsMissing?: boolean;
  /** A platform's layers are done. */
  readonly onPlatform?: (platform: ConvertedPlatform) => Promise<void>;
}

export interface ConvertedPlatform extends Omit<IndexedLayers, "ztocs"> {
  readonly platform: Platform;
  /** The manifest of before. */
  readonly manifest: Descriptor;
  /** Digest and size of the v2 SOCI index; `undefined` where no layer has a zTOC. */
  readonly sociIndex: Pick<Descriptor, "digest" | "size"> | undefined;
}

export interface ConvertedImage {
  /** The OCI index that is the image now. */
  readonly descriptor: Descriptor;
  readonly platforms: readonly ConvertedPlatform[];
}

interface BuiltIndex extends SelectedPart, IndexedLayers {
  readonly index: { readonly value: SociIndex; readonly bytes: Uint8Array } | undefined;
}

const PARALLEL_BLOBS = 4;
const PARALLEL_CHECKS = 16;
const MAX_NESTING = 4;

/**
 * Writes an image together with v2 SOCI indexes of the platforms asked for as one OCI index: blobs first,
 * then manifests, the name last. Blobs are read from the source once, and only sent where the destination
 * cannot take them over. The same input gives the same digest, also when it is converted already.
 * @throws failed-precondition when no layer of any platform has a zTOC, not-found for a platform that is not there
 */
export async function convertImage(options: ConvertImageOptions): Promise<ConvertedImage> {
  const { source, destination, platforms, keepsMissing, signal, onMissing } = options;
  const parts = await readImageParts(source, { keepsMissing, signal });
  const selected = selectParts(parts, platforms, source.name);
  if (keepsMissing !== true) for (const entry of parts.missing) onMissing?.(entry);

  const blobs = await blobsToSend(parts, options);
  const staged = new StagedBlobs({
    source,
    stage: destination.stage ?? options.stage,
    twice: new Set(blobs.map(({ digest }) => digest)),
    onRead: options.onRead,
  });
  const built: BuiltIndex[] = [];
  for (const one of selected) built.push(await buildIndex(one, { ...options, staged }));
  const indexed = built.flatMap(({ part, platform, index }): IndexedPart[] =>
    index === undefined ? [] : [{ part, platform, sociIndex: nameOf(index.bytes) }],
  );
  if (indexed.length === 0) {
    throw new SociError(
      "failed-precondition",
      "no ztocs created, all layers either skipped or produced errors",
    );
  }
  const converted = convertParts(parts, indexed);
  await mapConcurrent(
    blobs,
    (blob, inner) =>
      destination.putBlob(blob, () => staged.lastRead(blob, { signal: inner }), { signal: inner }),
    { limit: PARALLEL_BLOBS, signal },
  );
  await putArtifacts(built, options);
  await putManifests({ parts, converted, built }, options);
  const { root } = converted;
  await destination.finish(root.descriptor, root.bytes, { signal });
  if (options.isListed) await listIndexes(built, converted, options);
  return { descriptor: root.descriptor, platforms: built.map(platformOf) };
}

async function buildIndex(
  { part, platform }: SelectedPart,
  {
    staged,
    onPlatform,
    onRead: _readsAreTold,
    ...options
  }: ConvertImageOptions & {
    readonly staged: StagedBlobs;
  },
): Promise<BuiltIndex> {
  const layers = await indexLayers(part.manifest, { ...options, source: staged });
  const { ztocs, prefetch } = layers;
  const value =
    ztocs.length === 0
      ? undefined
      : buildSociIndex(ztocs, { version: "v2", imageManifest: part.descriptor, prefetch });
  const built: BuiltIndex = {
    ...layers,
    part,
    platform,
    index: value && { value, bytes: encodeSociIndex(value) },
  };
  await onPlatform?.(platformOf(built));
  return built;
}

function platformOf({ part, index, ...built }: BuiltIndex): ConvertedPlatform {
  const { platform, layers, prefetch, missingFiles } = built;
  return {
    platform,
    layers,
    prefetch,
    missingFiles,
    manifest: part.descriptor,
    sociIndex: index && nameOf(index.bytes),
  };
}

function nameOf(bytes: Uint8Array): Pick<Descriptor, "digest" | "size"> {
  return { digest: digestOf(bytes), size: bytes.length };
}

/** Blobs of the image that the destination lacks and cannot take over, each once. */
async function blobsToSend(
  { parts }: ImageParts,
  { source, destination, signal }: ConvertImageOptions,
): Promise<readonly Descriptor[]> {
  if (destination.isSourcePlace) return [];
  const blobs = new Map<Digest, Descriptor>();
  for (const part of parts) {
    for (const blob of await blobsOf(part, { source, signal })) blobs.set(blob.digest, blob);
  }
  const answers = await mapConcurrent(
    [...blobs.values()],
    async (blob, inner) => ((await destination.takesOver(blob, { signal: inner })) ? [] : [blob]),
    { limit: PARALLEL_CHECKS, signal },
  );
  return answers.flat();
}

async function blobsOf(
  part: ImagePart,
  { source, signal }: Pick<ConvertImageOptions, "source" | "signal">,
): Promise<readonly Descriptor[]> {
  if (part.kind === "image") return [part.manifest.config, ...part.manifest.layers];
  if (part.kind !== "index") return part.children;
  const found: Descriptor[] = [];
  await walkIndex(part.children, { source, signal }, async (_manifest, _bytes, children) => {
    found.push(...children);
  });
  return found;
}

/** Puts zTOCs, prefetch artifacts and the config of SOCI indexes. */
async function putArtifacts(
  built: readonly BuiltIndex[],
  { destination, sink, signal }: ConvertImageOptions,
): Promise<void> {
  const artifacts = built.flatMap(({ index }) => index?.value.blobs ?? []);
  const distinct = new Map(artifacts.map((blob) => [blob.digest, blob]));
  await mapConcurrent(
    [...distinct.values()],
    (blob, inner) => destination.putBlob(blob, () => sink.openBlob(blob.digest), { signal: inner }),
    { limit: PARALLEL_BLOBS, signal },
  );
  await destination.putBlob(sociConfigDescriptor("v2"), () => [SOCI_CONFIG_BYTES], { signal });
}

async function putManifests(
  {
    parts,
    converted,
    built,
  }: {
    readonly parts: ImageParts;
    readonly converted: ConvertedParts;
    readonly built: readonly BuiltIndex[];
  },
  { source, destination, signal }: ConvertImageOptions,
): Promise<void> {
  if (!destination.isSourcePlace) {
    for (const { kind, descriptor, bytes, children } of converted.kept) {
      if (bytes === undefined) continue;
      if (kind === "index") {
        await walkIndex(children, { source, signal }, async (manifest, manifestBytes) => {
          await destination.putManifest(manifest, manifestBytes, { signal });
        });
      }
      await destination.putManifest(descriptor, bytes, { signal });
    }
  }
  const put = ({ descriptor, bytes }: WrittenManifest, inner: AbortSignal) =>
    destination.putManifest(descriptor, bytes, { signal: inner });
  const sociIndexes = built.flatMap(({ index }) =>
    index === undefined
      ? []
      : [
          {
            descriptor: { mediaType: OCI_MANIFEST, ...nameOf(index.bytes) },
            bytes: index.bytes,
          },
        ],
  );
  // Who finds a manifest must find the SOCI index that it names.
  await mapConcurrent(sociIndexes, put, { limit: PARALLEL_BLOBS, signal });
  const before = new Set(parts.parts.map(({ descriptor }) => descriptor.digest));
  const manifests = [...converted.manifests.values()].filter(
    ({ descriptor }) => !destination.isSourcePlace || !before.has(descriptor.digest),
  );
  await mapConcurrent(manifests, put, { limit: PARALLEL_BLOBS, signal });
}

async function listIndexes(
  built: readonly BuiltIndex[],
  { root, manifests }: ConvertedParts,
  { destination, sink, signal }: ConvertImageOptions,
): Promise<void> {
  for (const { part, platform, index } of built) {
    const manifest = manifests.get(part.descriptor.digest);
    if (index === undefined || manifest === undefined) continue;
    await sink.putIndex(index.value, {
      imageManifest: manifest.descriptor.digest,
      imageDigest: root.descriptor.digest,
      platform: formatPlatform(platform),
      imageName: destination.name,
      signal,
    });
  }
}

/** The manifests below an image index that is an entry of another one, the innermost first. */
async function walkIndex(
  manifests: readonly Descriptor[],
  { source, signal }: WaitOptions & Pick<ConvertImageOptions, "source">,
  visit: (
    manifest: Descriptor,
    bytes: Uint8Array,
    /** Blobs that the manifest names. */
    children: readonly Descriptor[],
  ) => Promise<void>,
  depth = 1,
): Promise<void> {
  if (depth > MAX_NESTING) {
    throw new SociError(
      "data-loss",
      `Cannot use "${source.name}": image indexes nest more than ${MAX_NESTING} deep`,
    );
  }
  for (const manifest of manifests) {
    const { mediaType, digest } = manifest;
    if (!isManifestType(mediaType) && !isIndexType(mediaType)) continue;
    const bytes = await source.manifest(manifest, { signal });
    const parsed = parseManifest(bytes, { mediaType, what: `manifest ${digest}` });
    const isIndex = parsed.kind === "index";
    if (isIndex) await walkIndex(parsed.manifests, { source, signal }, visit, depth + 1);
    await visit(manifest, bytes, isIndex ? [] : [parsed.config, ...parsed.layers]);
  }
}
