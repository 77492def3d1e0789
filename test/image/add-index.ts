import { digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { buildSociIndex } from "../../src/soci/build-soci-index.ts";
import { encodeSociIndex, type SociIndexVersion } from "../../src/soci/soci-index.ts";
import type { BuiltImage } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import type { TestRegistry } from "../support/registry.ts";

export interface IndexOptions {
  /** Damages a zTOC before it is put there. */
  readonly change?: (ztoc: Buffer) => Buffer;
  /** Leaves the zTOCs' blobs away. */
  readonly withoutBlobs?: boolean;
  /** Layers to index; all by default. */
  readonly only?: readonly number[];
  /** A v1 index refers to the image; of a v2 index the image must say the digest. */
  readonly version?: SociIndexVersion;
  /** Prefetch artifacts by the layers' places. */
  readonly prefetch?: ReadonlyMap<number, Uint8Array>;
}

/** Puts a SOCI index beside an image of repository `app`; its bytes. */
export async function addIndex(
  registry: TestRegistry,
  image: BuiltImage,
  {
    change = (ztoc) => ztoc,
    withoutBlobs = false,
    only,
    version = "v1",
    prefetch: artifacts = new Map(),
  }: IndexOptions = {},
): Promise<Uint8Array> {
  const ztocs = [];
  for (const [i, { bytes, descriptor }] of image.layers.entries()) {
    if (only?.includes(i) === false) continue;
    const algorithm = descriptor.mediaType.endsWith("tar") ? "uncompressed" : "gzip";
    const ztoc = change(Buffer.from((await ztocOf(bytes, { algorithm })).bytes));
    const digest = withoutBlobs ? digestOf(ztoc) : await registry.addBlob("app", ztoc);
    ztocs.push({
      digest,
      size: ztoc.length,
      layer: descriptor,
      spanSize: 65_536,
      disableXattrs: false,
    });
  }
  const prefetch = [];
  for (const [i, artifact] of artifacts) {
    const layer = image.layers[i]?.descriptor.digest;
    if (layer === undefined) throw new Error(`no layer ${i}`);
    const digest = await registry.addBlob("app", artifact);
    prefetch.push({ digest, size: artifact.length, layer });
  }
  const index = buildSociIndex(ztocs, { version, imageManifest: image.descriptor, prefetch });
  const bytes = encodeSociIndex(index);
  registry.addManifest("app", { mediaType: OCI_MANIFEST, bytes });
  return bytes;
}
