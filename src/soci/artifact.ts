import type { Digest } from "../oci/digest.ts";

/** As the Go tool's database calls them. */
export type ArtifactType = "soci_index" | "soci_layer" | "soci_prefetch";

/** A SOCI artifact in the local store and what it was made of. */
export interface Artifact {
  readonly digest: Digest;
  /** `soci_layer` is a zTOC. */
  readonly type: ArtifactType;
  /** Bytes. */
  readonly size: number;
  /** Of a zTOC, as it was asked for, bytes; else 0. */
  readonly spanSize: number;
  /** The image manifest of an index; the layer of a zTOC or prefetch artifact. */
  readonly ociDigest: Digest;
  /** What the image's name stood for, a manifest or an image index; empty when it was no image. */
  readonly imageDigest: Digest | "";
  /** `os/arch[/variant]` of an index; else empty. */
  readonly platform: string;
  /** The manifest's or layer's digest, as the Go tool writes it. */
  readonly location: string;
  readonly mediaType: string;
  /** Of an index: its config's media type, which tells v1 from v2; else empty. */
  readonly artifactType: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** The name by which an index was asked for; else empty. */
  readonly imageName: string;
}
