import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Headers, pack } from "tar-stream";
import type { Descriptor, Platform } from "../../src/oci/descriptor.ts";
import { digestOf, hexOf } from "../../src/oci/digest.ts";
import { LayoutWriter } from "../../src/oci/layout-writer.ts";
import {
  DOCKER_CONFIG,
  DOCKER_LAYER_GZIP,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER_GZIP,
  OCI_LAYER_TAR,
  OCI_LAYER_ZSTD,
  OCI_MANIFEST,
} from "../../src/oci/media-types.ts";
import type { TestRegistry } from "./registry.ts";

/** An entry of a layer: a header, and the content of a file. */
export interface LayerEntry extends Headers {
  readonly content?: string | Uint8Array;
}

export type LayerCompression = "gzip" | "none" | "zstd";

export interface LayerSpec {
  readonly entries: readonly LayerEntry[];
  readonly compression?: LayerCompression;
}

/** A layer as a blob and as the tar in it. */
export interface BuiltLayer {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly tar: Uint8Array;
}

export interface BuiltImage {
  readonly descriptor: Descriptor;
  readonly manifest: Uint8Array;
  readonly config: { readonly descriptor: Descriptor; readonly bytes: Uint8Array };
  readonly layers: readonly BuiltLayer[];
}

export interface ImageSpec {
  /** Bottom first. */
  readonly layers: readonly LayerSpec[];
  readonly platform?: Platform;
  /** Media types of Docker's schema 2 in the place of OCI's. */
  readonly docker?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An image index and the images it lists. */
export interface BuiltIndex {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly images: readonly BuiltImage[];
}

const EPOCH = new Date(0);

/** A tar of these entries, the same bytes on every call. */
export async function buildTar(entries: readonly LayerEntry[]): Promise<Uint8Array> {
  const tar = pack();
  for (const { content = "", ...header } of entries) {
    tar.entry({ mtime: EPOCH, ...header }, content);
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) {
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

export async function buildLayer({
  entries,
  compression = "gzip",
}: LayerSpec): Promise<BuiltLayer> {
  return layerOf(await buildTar(entries), compression);
}

/** A layer of a tar that exists already. */
export function layerOf(tar: Uint8Array, compression: LayerCompression = "gzip"): BuiltLayer {
  const { bytes, mediaType } = compress(tar, compression);
  return { descriptor: describe(mediaType, bytes), bytes, tar };
}

/** A small real image: layers, config, manifest. The same spec gives the same digests. */
export async function buildImage(spec: ImageSpec): Promise<BuiltImage> {
  const layers: BuiltLayer[] = [];
  for (const layer of spec.layers) {
    layers.push(await buildLayer(layer));
  }
  return imageOf(layers, spec);
}

/** An image of layers that exist already. */
export function imageOf(
  layers: readonly BuiltLayer[],
  {
    platform = { architecture: "amd64", os: "linux" },
    docker = false,
    annotations,
  }: Omit<ImageSpec, "layers"> = {},
): BuiltImage {
  const config = encode({
    ...platform,
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(({ tar }) => digestOf(tar)) },
  });
  const mediaType = docker ? DOCKER_MANIFEST : OCI_MANIFEST;
  const configDescriptor = describe(docker ? DOCKER_CONFIG : OCI_CONFIG, config);
  const manifest = encode({
    schemaVersion: 2,
    mediaType,
    config: configDescriptor,
    layers: layers.map(({ descriptor }) =>
      docker && descriptor.mediaType === OCI_LAYER_GZIP
        ? { ...descriptor, mediaType: DOCKER_LAYER_GZIP }
        : descriptor,
    ),
    ...(annotations === undefined ? {} : { annotations }),
  });
  return {
    descriptor: describe(mediaType, manifest),
    manifest,
    config: { descriptor: configDescriptor, bytes: config },
    layers,
  };
}

/** An image index of images for several platforms. */
export function buildIndex(
  images: readonly { readonly image: BuiltImage; readonly platform?: Platform }[],
): BuiltIndex {
  const bytes = encode({
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: images.map(({ image, platform }) => ({
      ...image.descriptor,
      ...(platform === undefined ? {} : { platform }),
    })),
  });
  return {
    descriptor: describe(OCI_INDEX, bytes),
    bytes,
    images: images.map(({ image }) => image),
  };
}

/** Puts an image into a test registry, without requests. */
export async function addImage(
  registry: TestRegistry,
  repository: string,
  { image, tag }: { readonly image: BuiltImage | BuiltIndex; readonly tag?: string },
): Promise<void> {
  const named = tag === undefined ? {} : { tag };
  const { mediaType } = image.descriptor;
  if ("images" in image) {
    for (const one of image.images) {
      await addImage(registry, repository, { image: one });
    }
    registry.addManifest(repository, { mediaType, bytes: image.bytes, ...named });
    return;
  }
  for (const { bytes } of [image.config, ...image.layers]) {
    await registry.addBlob(repository, bytes);
  }
  registry.addManifest(repository, { mediaType, bytes: image.manifest, ...named });
}

/** Writes an image into an OCI layout, under a tag if one is given. */
export async function writeLayout(
  dir: string,
  { image, tag }: { readonly image: BuiltImage | BuiltIndex; readonly tag?: string },
): Promise<void> {
  await using layout = await LayoutWriter.open(dir);
  await putImage(layout, image);
  const annotations = { "org.opencontainers.image.ref.name": tag ?? "" };
  await layout.addToIndex({
    ...image.descriptor,
    ...(tag === undefined ? {} : { annotations }),
  });
}

async function putImage(layout: LayoutWriter, image: BuiltImage | BuiltIndex): Promise<void> {
  if ("images" in image) {
    for (const one of image.images) {
      await putImage(layout, one);
    }
    await layout.putBytes(image.descriptor.mediaType, image.bytes);
    return;
  }
  await layout.putBytes(image.config.descriptor.mediaType, image.config.bytes);
  for (const { descriptor, bytes } of image.layers) {
    await layout.putBytes(descriptor.mediaType, bytes);
  }
  await layout.putBytes(image.descriptor.mediaType, image.manifest);
}

/** An image as an OCI archive: a tar of a layout. */
export async function buildOciArchive(
  image: BuiltImage | BuiltIndex,
  { tag }: { readonly tag?: string } = {},
): Promise<Uint8Array> {
  const annotations = { "org.opencontainers.image.ref.name": tag ?? "" };
  const entry = { ...image.descriptor, ...(tag === undefined ? {} : { annotations }) };
  return await buildTar([
    { name: "blobs", type: "directory" },
    { name: "blobs/sha256", type: "directory" },
    ...blobsOf(image).map((bytes) => ({
      name: `blobs/sha256/${hexOf(digestOf(bytes))}`,
      content: bytes,
    })),
    {
      name: "index.json",
      content: encode({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry] }),
    },
    { name: "oci-layout", content: encode({ imageLayoutVersion: "1.0.0" }) },
  ]);
}

/** An image as `docker save` writes it: layers as plain tars in a folder each. */
export async function buildDockerArchive(
  image: BuiltImage,
  { tags = [] }: { readonly tags?: readonly string[] } = {},
): Promise<Uint8Array> {
  const layers = image.layers.map(({ tar }) => ({
    name: `${hexOf(digestOf(tar))}/layer.tar`,
    content: tar,
  }));
  const config = {
    name: `${hexOf(image.config.descriptor.digest)}.json`,
    content: image.config.bytes,
  };
  const list = [{ Config: config.name, RepoTags: tags, Layers: layers.map(({ name }) => name) }];
  return await buildTar([...layers, config, { name: "manifest.json", content: encode(list) }]);
}

function blobsOf(image: BuiltImage | BuiltIndex): Uint8Array[] {
  if ("images" in image) {
    return [...image.images.flatMap(blobsOf), image.bytes];
  }
  return [image.config.bytes, ...image.layers.map(({ bytes }) => bytes), image.manifest];
}

function compress(
  tar: Uint8Array,
  compression: LayerCompression,
): { readonly bytes: Uint8Array; readonly mediaType: string } {
  switch (compression) {
    case "gzip":
      return { bytes: new Uint8Array(gzipSync(tar)), mediaType: OCI_LAYER_GZIP };
    case "zstd":
      return { bytes: new Uint8Array(zstdCompressSync(tar)), mediaType: OCI_LAYER_ZSTD };
    case "none":
      return { bytes: tar, mediaType: OCI_LAYER_TAR };
  }
}

function describe(mediaType: string, bytes: Uint8Array): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
