import { type Digest, digestOf } from "../../src/oci/digest.ts";
import type { Labels } from "../../src/containerd/api/snapshots.ts";
import type { OpenedSnapshotter, SnapshotToMake } from "./opened-snapshotter.ts";
import { rejectionOf } from "../support/failure.ts";

/** The digest of the sample layer of a name. */
export function layerDigest(name: string): Digest {
  return digestOf(`layer ${name}`);
}

/** The name that containerd wants for the sample layer. */
export function targetOf(name: string): string {
  return digestOf(`chain of ${name}`);
}

/** As containerd prepares a layer of an image that is pulled with annotations. */
export function layerLabels(name: string): Labels {
  return {
    "containerd.io/snapshot.ref": targetOf(name),
    "containerd.io/snapshot/cri.image-ref": "registry.example/app:v1",
    "containerd.io/snapshot/cri.manifest-digest": digestOf("manifest"),
    "containerd.io/snapshot/cri.layer-digest": layerDigest(name),
    "containerd.io/snapshot/remote/soci.size": "4567",
  };
}

export function layerToMake(name: string, below?: string): SnapshotToMake {
  return {
    key: `extract ${name}`,
    parent: below === undefined ? "" : targetOf(below),
    labels: layerLabels(name),
  };
}

/** Prepares layers one over another that the mounter serves; the name of the topmost. */
export async function serveLayers(
  { calls }: OpenedSnapshotter,
  ...names: readonly string[]
): Promise<string> {
  let below: string | undefined;
  for (const name of names) {
    await rejectionOf(calls.prepare(layerToMake(name, below)));
    below = name;
  }
  return targetOf(below ?? "");
}
