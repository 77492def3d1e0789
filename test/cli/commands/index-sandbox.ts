import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../../src/oci/media-types.ts";
import { buildSociIndex } from "../../../src/soci/build-soci-index.ts";
import type { BuiltLayer } from "../../support/image-builder.ts";
import { sampleLayer, type Sandbox } from "./ztoc-sandbox.ts";

export interface SampleIndexOptions {
  readonly imageName?: string;
  readonly platform?: string;
  /** Makes it another image. */
  readonly manifest?: string;
  readonly layer?: BuiltLayer;
}

/** Stores a SOCI index of an image of one layer, and the layer's zTOC. */
export async function putSampleIndex(
  box: Sandbox,
  {
    imageName = "registry.test/app:v1",
    platform = "linux/amd64",
    manifest = "manifest",
    layer,
  }: SampleIndexOptions = {},
): Promise<Descriptor> {
  const { descriptor } = layer ?? (await sampleLayer());
  const spanSize = 4_194_304;
  await using store = await box.openStore();
  const bytes = new TextEncoder().encode(`stands for a zTOC of ${descriptor.digest}`);
  const ztoc = await store.putZtoc([bytes], { layer: descriptor.digest, spanSize });
  const index = buildSociIndex(
    [{ digest: ztoc.digest, size: ztoc.size, layer: descriptor, spanSize, disableXattrs: false }],
    {
      version: "v1",
      imageManifest: { mediaType: OCI_MANIFEST, digest: digestOf(manifest), size: manifest.length },
    },
  );
  return await store.putIndex(index, {
    imageManifest: digestOf(manifest),
    imageDigest: digestOf(manifest),
    platform,
    imageName,
  });
}
