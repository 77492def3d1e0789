import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { LayoutWriter } from "../../src/oci/layout-writer.ts";
import { OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { hostPlatform } from "../../src/oci/platform.ts";
import { directoryBlobs } from "../support/blob-store.ts";
import { TestRegistry } from "../support/registry.ts";
import type { LayerFile } from "./layer-file.ts";

export const TAG = "latest";
export const REPOSITORY = "bench/image";

interface LayerImage {
  readonly config: Uint8Array;
  readonly manifest: Uint8Array;
}

function imageOfLayers(layers: readonly LayerFile[]): LayerImage {
  const { architecture, os } = hostPlatform();
  const config = encode({
    architecture,
    os,
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  });
  const manifest = encode({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.length },
    layers: layers.map(layerDescriptor),
  });
  return { config, manifest };
}

function layerDescriptor({ digest, compressedSize }: LayerFile): Descriptor {
  return { mediaType: OCI_LAYER_GZIP, digest, size: compressedSize };
}

/** Writes an OCI layout with one image of these layers. */
export async function writeLayerLayout(
  directory: string,
  layers: readonly LayerFile[],
  signal: AbortSignal,
): Promise<void> {
  const { config, manifest } = imageOfLayers(layers);
  await using layout = await LayoutWriter.open(directory);
  for (const layer of layers) {
    await layout.putBlob(layerDescriptor(layer), Bun.file(layer.path).stream(), { signal });
  }
  await layout.putBytes(OCI_CONFIG, config);
  const descriptor = await layout.putBytes(OCI_MANIFEST, manifest);
  await layout.addToIndex({
    ...descriptor,
    platform: hostPlatform(),
    annotations: { "org.opencontainers.image.ref.name": TAG },
  });
}

/** Starts a registry that keeps its blobs in `directory` and has one image of these layers. */
export async function startRegistry(
  directory: string,
  layers: readonly LayerFile[],
): Promise<TestRegistry> {
  const { config, manifest } = imageOfLayers(layers);
  const registry = TestRegistry.start({}, directoryBlobs(directory));
  await using cleanup = new AsyncDisposableStack();
  cleanup.use(registry);
  for (const { path } of layers) {
    await registry.addBlob(REPOSITORY, await Bun.file(path).bytes());
  }
  await registry.addBlob(REPOSITORY, config);
  registry.addManifest(REPOSITORY, { mediaType: OCI_MANIFEST, bytes: manifest, tag: TAG });
  cleanup.move();
  return registry;
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
