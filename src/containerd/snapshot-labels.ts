import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { Labels } from "./api/snapshots.ts";

// https://github.com/containerd/containerd/blob/main/pkg/snapshotters/annotations.go

/** The name that a layer's snapshot gets when it is committed; its presence says that a layer is meant. */
export const SNAPSHOT_REF_LABEL = "containerd.io/snapshot.ref";
/** A snapshot whose layer the snapshotter shows without having it. */
export const REMOTE_SNAPSHOT_LABEL = "containerd.io/snapshot/remote";
export const IMAGE_REF_LABEL = "containerd.io/snapshot/cri.image-ref";
export const MANIFEST_DIGEST_LABEL = "containerd.io/snapshot/cri.manifest-digest";
export const LAYER_DIGEST_LABEL = "containerd.io/snapshot/cri.layer-digest";
export const IMAGE_LAYERS_LABEL = "containerd.io/snapshot/cri.image-layers";
export const LAYER_SIZE_LABEL = "containerd.io/snapshot/remote/soci.size";
export const IMAGE_LAYER_SIZES_LABEL = "containerd.io/snapshot/remote/image.layers.size";
export const INDEX_DIGEST_LABEL = "containerd.io/snapshot/remote/soci.index.digest";
/**
 * Of ours: all layers of the image are wanted as one snapshot, of the name of the topmost. Each Prepare
 * costs containerd two synced transactions, which is most of what a lazy pull of many layers takes.
 */
export const WHOLE_IMAGE_LABEL = "containerd.io/snapshot/remote/sociable.whole-image";

/** containerd takes no label whose key and value together are longer. */
export const MAX_LABEL_BYTES = 4096;

export interface LayerLabelsOptions {
  readonly chainId: Digest;
  readonly imageName: string;
  readonly manifest: Digest;
  /** This layer and those above it. */
  readonly layers: readonly [Descriptor, ...Descriptor[]];
  readonly index?: Digest | undefined;
}

/** What a snapshotter is told of a layer that it may show by itself. */
export function layerLabels({
  chainId,
  imageName,
  manifest,
  layers,
  index,
}: LayerLabelsOptions): Labels {
  const [layer] = layers;
  // As many as a label holds; both lists must name the same layers.
  const room = MAX_LABEL_BYTES - IMAGE_LAYERS_LABEL.length + 1;
  const named = layers.slice(0, Math.floor(room / (layer.digest.length + 1)));
  return {
    [SNAPSHOT_REF_LABEL]: chainId,
    [IMAGE_REF_LABEL]: imageName,
    [MANIFEST_DIGEST_LABEL]: manifest,
    [LAYER_DIGEST_LABEL]: layer.digest,
    [IMAGE_LAYERS_LABEL]: named.map(({ digest }) => digest).join(","),
    [LAYER_SIZE_LABEL]: String(layer.size),
    [IMAGE_LAYER_SIZES_LABEL]: named.map(({ size }) => size).join(","),
    ...(index === undefined ? {} : { [INDEX_DIGEST_LABEL]: index }),
  };
}
