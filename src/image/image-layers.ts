import { createHash } from "node:crypto";
import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource, SignalOptions } from "../oci/image-source.ts";
import type { ImageManifest } from "../oci/manifest.ts";
import { readImageConfig } from "../oci/read-image-config.ts";

/** The name of a chain of layers of the cache, the lowest first: where its merged tree is kept. */
export function chainKeyOf(layers: readonly string[]): string {
  return createHash("sha256").update(layers.join("\n")).digest("hex");
}

/** Each layer of an image once: some images hold a layer twice. */
export function distinctLayers(layers: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Map(layers.map((layer) => [layer.digest, layer])).values()];
}

/** What the layers of a manifest must uncompress to, as its config says. @throws data-loss when that does not fit the manifest */
export async function readDiffIds(
  source: ImageSource,
  manifest: ImageManifest,
  options: SignalOptions = {},
): Promise<ReadonlyMap<Digest, Digest>> {
  const { config, layers } = manifest;
  const what = `config ${config.digest} of "${source.name}"`;
  const { diffIds } = await readImageConfig(source, manifest, options);
  if (diffIds.length !== layers.length) {
    throw new SociError(
      "data-loss",
      `Cannot use ${what}: it names ${diffIds.length} diff IDs, want one for each of ${layers.length} layers`,
    );
  }
  const byLayer = new Map<Digest, Digest>();
  for (const [i, { digest }] of layers.entries()) {
    const diffId = diffIds[i];
    if (diffId === undefined) continue;
    const known = byLayer.get(digest) ?? diffId;
    if (known !== diffId) {
      throw new SociError(
        "data-loss",
        `Cannot use ${what}: layer ${digest} has both diff ID ${known} and ${diffId}`,
      );
    }
    byLayer.set(digest, diffId);
  }
  return byLayer;
}
