import { type Digest, hexOf } from "../oci/digest.ts";
import type { ImageIndex, ImageManifest } from "../oci/manifest.ts";
import type { RegistryHost, RepositoryName } from "../oci/reference.ts";
import type { Labels } from "./api/snapshots.ts";

// What a blob keeps from being collected as long as it is kept itself.
// https://github.com/containerd/containerd/blob/main/docs/garbage-collection.md

const CONTENT = "containerd.io/gc.ref.content";

/** Of a manifest or an image index: what it names. */
export function contentLabels(document: ImageManifest | ImageIndex): Labels {
  if (document.kind === "index") {
    return Object.fromEntries(
      document.manifests.map(({ digest }, position) => [`${CONTENT}.m.${position}`, digest]),
    );
  }
  return {
    [`${CONTENT}.config`]: document.config.digest,
    ...Object.fromEntries(
      document.layers.map(({ digest }, position) => [`${CONTENT}.l.${position}`, digest]),
    ),
  };
}

/** Of a SOCI index: its config, zTOCs and prefetch artifacts, as the Go snapshotter labels them. */
export function artifactLabels({
  config,
  layers,
}: Pick<ImageManifest, "config" | "layers">): Labels {
  return {
    [`${CONTENT}.config`]: config.digest,
    ...Object.fromEntries(
      layers.map(({ digest }, position) => [`${CONTENT}.ztoc.${position}`, digest]),
    ),
  };
}

/** Of an image: a SOCI index that goes when the image does. The Go snapshotter has one label for all, the last one wins; here each index has its own. */
export function sociIndexLabels(index: Digest): Labels {
  return { [sociIndexLabel(index)]: index };
}

/** The labels of an image that name a SOCI index, whoever wrote them. */
export function sociIndexLabelsOf(labels: Labels, index: Digest): readonly string[] {
  return Object.keys(labels).filter(
    (key) => key.startsWith(`${CONTENT}.soci-index`) && labels[key] === index,
  );
}

function sociIndexLabel(index: Digest): string {
  return `${CONTENT}.soci-index.${hexOf(index).slice(0, 16)}`;
}

/** Of an image's config: the snapshot of all its layers. */
export function snapshotLabels(snapshotter: string, chainId: Digest | undefined): Labels {
  return chainId === undefined ? {} : { [`containerd.io/gc.ref.snapshot.${snapshotter}`]: chainId };
}

/** Of every blob: where it can be had, for a push to another repository of that registry. */
export function sourceLabels(registry: RegistryHost, repository: RepositoryName): Labels {
  return { [`containerd.io/distribution.source.${registry}`]: repository };
}

/** Of a layer: what it is uncompressed, once that has been seen. */
export function uncompressedLabels(diffId: Digest): Labels {
  return { "containerd.io/uncompressed": diffId };
}
