import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { PlatformImage } from "../oci/select-images.ts";
import { buildSociIndex } from "./build-soci-index.ts";
import { type IndexedLayers, indexLayers, type IndexLayersOptions } from "./index-layers.ts";

export interface CreateIndexOptions extends IndexLayersOptions {
  readonly source: ImageSource;
}

export interface CreatedIndex extends Omit<IndexedLayers, "ztocs"> {
  readonly descriptor: Descriptor;
}

/**
 * Builds and stores the v1 SOCI index of one platform's manifest; see indexLayers().
 * @throws failed-precondition when no layer has a zTOC, and whatever the source and the sink throw
 */
export async function createIndex(
  { descriptor, manifest, platform, root }: PlatformImage,
  options: CreateIndexOptions,
): Promise<CreatedIndex> {
  const { source, sink, signal } = options;
  const { layers, ztocs, prefetch, missingFiles } = await indexLayers(manifest, options);
  const index = buildSociIndex(ztocs, { version: "v1", imageManifest: descriptor, prefetch });
  const stored = await sink.putIndex(index, {
    imageManifest: descriptor.digest,
    imageDigest: root.digest,
    platform: formatPlatform(platform),
    imageName: source.name,
    signal,
  });
  return { descriptor: stored, layers, prefetch, missingFiles };
}
