import type { Labels } from "../containerd/api/snapshots.ts";
import { isDigest } from "../oci/digest.ts";
import type { LayerRequest } from "./layer-mounter.ts";

// What containerd's unpacker and the label handlers of its clients say of a layer.
// https://github.com/containerd/containerd/blob/main/pkg/snapshotters/annotations.go
export const IMAGE_REF_LABEL = "containerd.io/snapshot/cri.image-ref";
export const MANIFEST_DIGEST_LABEL = "containerd.io/snapshot/cri.manifest-digest";
export const LAYER_DIGEST_LABEL = "containerd.io/snapshot/cri.layer-digest";
export const LAYER_SIZE_LABEL = "containerd.io/snapshot/remote/soci.size";
export const INDEX_DIGEST_LABEL = "containerd.io/snapshot/remote/soci.index.digest";

/** On each snapshot that a LayerMounter shows. */
export const REMOTE_LABEL = "containerd.io/snapshot/remote";
export const REMOTE_LABEL_VALUE = "remote snapshot";
export const NAMESPACE_LABEL = "containerd.io/snapshot/remote/namespace";
export const HAS_INDEX_LABEL = "containerd.io/snapshot/remote/has.soci.index.digest";

export const UID_MAPPING_LABEL = "containerd.io/snapshot/uidmapping";
export const GID_MAPPING_LABEL = "containerd.io/snapshot/gidmapping";

/** The layer that the labels name, or what is wrong with them, for a log. */
export function layerRequestOf(labels: Labels, namespace: string): LayerRequest | string {
  const imageReference = labels[IMAGE_REF_LABEL];
  const manifestDigest = labels[MANIFEST_DIGEST_LABEL];
  const layerDigest = labels[LAYER_DIGEST_LABEL];
  const indexDigest = labels[INDEX_DIGEST_LABEL];
  if (imageReference === undefined || imageReference === "") return absent(IMAGE_REF_LABEL);
  if (manifestDigest === undefined) return absent(MANIFEST_DIGEST_LABEL);
  if (!isDigest(manifestDigest)) return noDigest(MANIFEST_DIGEST_LABEL, manifestDigest);
  if (layerDigest === undefined) return absent(LAYER_DIGEST_LABEL);
  if (!isDigest(layerDigest)) return noDigest(LAYER_DIGEST_LABEL, layerDigest);
  if (indexDigest !== undefined && !isDigest(indexDigest)) {
    return noDigest(INDEX_DIGEST_LABEL, indexDigest);
  }
  const layerSize = sizeOf(labels[LAYER_SIZE_LABEL]);
  return { namespace, imageReference, manifestDigest, layerDigest, layerSize, indexDigest };
}

/** Only a hint, so what is no size says nothing. */
function sizeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function absent(label: string): string {
  return `label "${label}" is not set`;
}

function noDigest(label: string, value: string): string {
  return `label "${label}" is ${JSON.stringify(value.slice(0, 100))}, want sha256:<64 hex digits>`;
}
