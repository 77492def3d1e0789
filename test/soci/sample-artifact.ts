import { digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import type { Artifact } from "../../src/soci/artifact.ts";

/** A SOCI index made of image "image" of platform linux/amd64. */
export function indexArtifact(name: string, more: Partial<Artifact> = {}): Artifact {
  return {
    digest: digestOf(name),
    type: "soci_index",
    size: 2038,
    spanSize: 0,
    ociDigest: digestOf("image"),
    imageDigest: digestOf("image"),
    platform: "linux/amd64",
    location: digestOf("image"),
    mediaType: OCI_MANIFEST,
    artifactType: "application/vnd.amazon.soci.index.v1+json",
    createdAt: 1000,
    imageName: "127.0.0.1:5050/golden/small:latest",
    ...more,
  };
}

/** A zTOC made of layer "layer". */
export function ztocArtifact(name: string, more: Partial<Artifact> = {}): Artifact {
  return {
    ...indexArtifact(name),
    type: "soci_layer",
    size: 34496,
    spanSize: 4_194_304,
    ociDigest: digestOf("layer"),
    imageDigest: "",
    platform: "",
    location: digestOf("layer"),
    mediaType: "application/octet-stream",
    artifactType: "",
    imageName: "",
    ...more,
  };
}
