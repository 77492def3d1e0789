import { isKind } from "../../src/errors.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { INDEX_DIGEST_ANNOTATION } from "../../src/soci/annotations.ts";
import {
  buildSociIndex,
  type LayerPrefetch,
  type LayerZtoc,
} from "../../src/soci/build-soci-index.ts";
import { encodePrefetch, type SpansOfFile } from "../../src/soci/encode-prefetch.ts";
import { encodeSociIndex } from "../../src/soci/soci-index.ts";
import { addImage, type BuiltImage, type BuiltLayer, imageOf } from "./image-builder.ts";
import { buildZtoc } from "./indexed-layer.ts";
import type { TestRegistry } from "./registry.ts";

export interface ServeImageOptions {
  readonly repository: string;
  /** Bottom first. */
  readonly layers: readonly BuiltLayer[];
  /** How the image names its index. Default: as a referrer. dangling: by an annotation, of one that is not there. */
  readonly index?: "referrer" | "annotation" | "unnamed" | "dangling" | "none";
  /** Layers that the index leaves out, counted from the bottom. */
  readonly outside?: readonly number[];
  readonly spanSize?: number;
  /** Spans to fetch ahead, by layer from the bottom; both ends belong to a range. */
  readonly prefetch?: ReadonlyMap<number, readonly SpansOfFile[]>;
  /** What the registry has in the place of a layer's zTOC. */
  readonly mangle?: (ztoc: Uint8Array, layer: number) => Uint8Array;
}

export interface ServeImage {
  readonly image: BuiltImage;
  /** Of its SOCI index, if there is one. */
  readonly indexDigest: Digest | undefined;
}

const TAG = "latest";
const NO_INDEX = `sha256:${"d".repeat(64)}`;

/** Puts an image with a SOCI index into a registry, as `<repository>:latest`. */
export async function putServeImage(
  registry: TestRegistry,
  options: ServeImageOptions,
): Promise<ServeImage> {
  const { repository, layers, index = "referrer" } = options;
  const plain = imageOf(layers);
  if (index === "none" || index === "dangling") {
    const annotations = { [INDEX_DIGEST_ANNOTATION]: NO_INDEX };
    const image = index === "none" ? plain : imageOf(layers, { annotations });
    await addImage(registry, repository, { image, tag: TAG });
    return { image, indexDigest: undefined };
  }
  const ztocs = await putZtocs(registry, options);
  const prefetch = await putPrefetch(registry, options);
  const version = index === "referrer" ? "v1" : "v2";
  const soci = buildSociIndex(ztocs, { version, imageManifest: plain.descriptor, prefetch });
  const bytes = encodeSociIndex(soci);
  const { digest } = registry.addManifest(repository, { mediaType: OCI_MANIFEST, bytes });
  const image =
    index === "annotation"
      ? imageOf(layers, { annotations: { [INDEX_DIGEST_ANNOTATION]: digest } })
      : plain;
  await addImage(registry, repository, { image, tag: TAG });
  return { image, indexDigest: digest };
}

async function putZtocs(
  registry: TestRegistry,
  {
    repository,
    layers,
    outside = [],
    spanSize = 65_536,
    mangle = (ztoc) => ztoc,
  }: ServeImageOptions,
): Promise<readonly LayerZtoc[]> {
  const ztocs: LayerZtoc[] = [];
  for (const [i, { bytes, descriptor: layer }] of layers.entries()) {
    if (outside.includes(i) || layer.mediaType.endsWith("zstd")) continue;
    const algorithm = layer.mediaType.endsWith("tar") ? "uncompressed" : "gzip";
    try {
      const ztoc = await buildZtoc(once(bytes), { algorithm, spanSize }, async (built) =>
        Buffer.concat(await Array.fromAsync(built.chunks(), (chunk) => chunk.slice())),
      );
      const stored = mangle(ztoc, i);
      const digest = await registry.addBlob(repository, stored);
      ztocs.push({ digest, size: stored.length, layer, spanSize, disableXattrs: false });
    } catch (error) {
      // Of sparse files and the like: those layers are left out of an index.
      if (!isKind(error, "unsupported")) throw error;
    }
  }
  return ztocs;
}

async function putPrefetch(
  registry: TestRegistry,
  { repository, layers, prefetch = new Map() }: ServeImageOptions,
): Promise<readonly LayerPrefetch[]> {
  const artifacts: LayerPrefetch[] = [];
  for (const [i, { descriptor }] of layers.entries()) {
    const ranges = prefetch.get(i);
    if (ranges === undefined) continue;
    const bytes = encodePrefetch(ranges);
    const digest = await registry.addBlob(repository, bytes);
    artifacts.push({ digest, size: bytes.length, layer: descriptor.digest });
  }
  return artifacts;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
