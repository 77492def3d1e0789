import type { WaitOptions } from "../../async/wait-options.ts";
import type { ContainerdNamespace } from "../../containerd/containerd-client.ts";
import { isKind } from "../../errors.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import { formatPlatform } from "../../oci/platform.ts";
import { LAYER_DIGEST_ANNOTATION, PREFETCH_MEDIA_TYPE } from "../../soci/annotations.ts";
import type { Artifact } from "../../soci/artifact.ts";
import {
  artifactTypeOfVersion,
  type SociIndex,
  sociConfigDescriptor,
  sociIndexDescriptor,
  ztocReferences,
} from "../../soci/soci-index.ts";
import { type ImageManifestOrigin, listImageManifests } from "./containerd-images.ts";
import type { SociStore } from "./soci-store.ts";

export interface RebuildContainerdStoreOptions extends WaitOptions {
  readonly space: ContainerdNamespace;
}

type Store = Pick<SociStore, "artifacts" | "readIndex" | "readIndexBytes">;

/**
 * Lists every SOCI index in containerd's store, whoever put it there, that is of an image that containerd has,
 * with its zTOCs and prefetch artifacts. What is listed already stays as it is.
 */
export async function rebuildContainerdStore(
  store: Store,
  { space, signal }: RebuildContainerdStoreOptions,
): Promise<void> {
  const present = new Map<string, { readonly size: number; readonly createdAt: number }>();
  const candidates: Digest[] = [];
  const config = sociConfigDescriptor("v1").digest;
  for await (const { digest, size, createdAt, labels } of space.content.list([], { signal })) {
    present.set(digest, { size, createdAt: (createdAt?.seconds ?? 0) * 1000 });
    const isNamed = labels["containerd.io/gc.ref.content.config"] === config;
    if (isNamed && isDigest(digest)) candidates.push(digest);
  }
  const origins = await listImageManifests(space, { signal });
  for (const digest of candidates) {
    signal?.throwIfAborted();
    const index = await readIfIndex(store, digest);
    if (index === undefined) continue;
    const createdAt = present.get(digest)?.createdAt ?? 0;
    const ofIndex = originsOf(index, digest, origins);
    for (const origin of ofIndex) {
      if (store.artifacts.has(digest, origin.manifest)) continue;
      store.artifacts.put(await indexRow(store, { digest, index, origin, createdAt }));
    }
    if (ofIndex.length === 0) continue;
    for (const row of layerRows(index)) {
      const blob = present.get(row.digest);
      if (blob?.size !== row.size || store.artifacts.has(row.digest, row.ociDigest)) continue;
      store.artifacts.put({ ...row, createdAt: blob.createdAt });
    }
  }
}

async function readIfIndex(store: Store, digest: Digest): Promise<SociIndex | undefined> {
  try {
    return await store.readIndex(digest);
  } catch (error) {
    // Some other artifact with an empty config, or collected meanwhile.
    if (isKind(error, "data-loss", "unsupported", "not-found")) return undefined;
    throw error;
  }
}

/** One for each manifest; an image may have several names. */
function originsOf(
  { version, subject }: SociIndex,
  digest: Digest,
  origins: readonly ImageManifestOrigin[],
): readonly ImageManifestOrigin[] {
  return origins.filter(({ manifest, sociIndex }) =>
    version === "v1" ? manifest === subject?.digest : sociIndex === digest,
  );
}

async function indexRow(
  store: Store,
  {
    digest,
    index,
    origin,
    createdAt,
  }: {
    readonly digest: Digest;
    readonly index: SociIndex;
    readonly origin: ImageManifestOrigin;
    readonly createdAt: number;
  },
): Promise<Artifact> {
  const descriptor = sociIndexDescriptor(await store.readIndexBytes(digest), index.version);
  return {
    digest,
    type: "soci_index",
    size: descriptor.size,
    spanSize: 0,
    ociDigest: origin.manifest,
    imageDigest: origin.root,
    platform: origin.platform === undefined ? "" : formatPlatform(origin.platform),
    location: origin.manifest,
    mediaType: descriptor.mediaType,
    artifactType: artifactTypeOfVersion(index.version),
    createdAt,
    imageName: origin.name,
  };
}

function layerRows(index: SociIndex): readonly Omit<Artifact, "createdAt">[] {
  const common = { imageDigest: "", platform: "", artifactType: "", imageName: "" } as const;
  const ztocs = ztocReferences(index).map(({ descriptor, layer, spanSize }) => ({
    ...common,
    digest: descriptor.digest,
    type: "soci_layer" as const,
    size: descriptor.size,
    spanSize: spanSize ?? 0,
    ociDigest: layer,
    location: layer,
    mediaType: descriptor.mediaType,
  }));
  const prefetch = index.blobs.flatMap(({ mediaType, digest, size, annotations }) => {
    const layer = annotations?.[LAYER_DIGEST_ANNOTATION];
    if (mediaType !== PREFETCH_MEDIA_TYPE || layer === undefined || !isDigest(layer)) return [];
    return [
      {
        ...common,
        digest,
        type: "soci_prefetch" as const,
        size,
        spanSize: 0,
        ociDigest: layer,
        location: layer,
        mediaType,
      },
    ];
  });
  return [...ztocs, ...prefetch];
}
