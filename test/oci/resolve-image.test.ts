import { describe, expect, test } from "bun:test";
import type { Platform } from "../../src/oci/descriptor.ts";
import type { ImageSource } from "../../src/oci/image-source.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { formatPlatform, parsePlatform } from "../../src/oci/platform.ts";
import { readImagePlatform, resolveAllImages, resolveImage } from "../../src/oci/resolve-image.ts";
import {
  addImage,
  type BuiltImage,
  type BuiltIndex,
  buildImage,
  buildIndex,
} from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";

const AMD64 = parsePlatform("linux/amd64");

function imageFor(platform: Platform): Promise<BuiltImage> {
  return buildImage({
    platform,
    layers: [{ entries: [{ name: "p", content: formatPlatform(platform) }] }],
  });
}

async function indexFor(...names: readonly string[]): Promise<BuiltIndex> {
  const images: { image: BuiltImage; platform: Platform }[] = [];
  for (const name of names) {
    const platform = parsePlatform(name);
    images.push({ image: await imageFor(platform), platform });
  }
  return buildIndex(images);
}

interface Opened extends AsyncDisposable {
  readonly registry: TestRegistry;
  readonly source: ImageSource;
}

async function open(image: BuiltImage | BuiltIndex): Promise<Opened> {
  const registry = TestRegistry.start();
  await addImage(registry, "app", { image, tag: "v1" });
  const source = await openImageSource(`${registry.host}/app:v1`);
  return { registry, source, [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose]() };
}

describe("resolveImage()", () => {
  test("takes a single manifest as it is", async () => {
    const image = await imageFor(parsePlatform("linux/s390x"));
    await using opened = await open(image);
    const resolved = await resolveImage(opened.source, { platform: AMD64 });
    expect(resolved.descriptor).toEqual(image.descriptor);
    expect(formatPlatform(await readImagePlatform(opened.source, resolved.manifest))).toBe(
      "linux/s390x",
    );
  });

  test.each([
    {
      want: "linux/arm64",
      has: ["linux/arm/v7", "linux/arm64", "linux/amd64"],
      found: "linux/arm64",
    },
    { want: "linux/arm64", has: ["linux/arm/v6", "linux/arm/v7"], found: "linux/arm/v7" },
    { want: "linux/amd64", has: ["linux/386", "linux/amd64"], found: "linux/amd64" },
  ])("finds $found for $want among $has", async ({ want, has, found }) => {
    await using opened = await open(await indexFor(...has));
    const resolved = await resolveImage(opened.source, { platform: parsePlatform(want) });
    expect(resolved.platform === undefined ? "" : formatPlatform(resolved.platform)).toBe(found);
  });

  test("costs two requests for an image of several platforms", async () => {
    await using opened = await open(await indexFor("linux/amd64", "linux/arm64"));
    await resolveImage(opened.source, { platform: AMD64 });
    expect(opened.registry.requests.length).toBe(2);
  });

  test("throws not-found and names what is there", async () => {
    await using opened = await open(await indexFor("linux/arm64", "windows/amd64"));
    const resolving = resolveImage(opened.source, { platform: AMD64 });
    await expect(resolving).rejects.toMatchObject({
      kind: "not-found",
      hint: "It has linux/arm64, windows/amd64",
    });
  });

  test("takes only the very platform when strict", async () => {
    await using opened = await open(await indexFor("linux/386"));
    const resolving = resolveImage(opened.source, { platform: AMD64, strict: true });
    await expect(resolving).rejects.toMatchObject({ kind: "not-found" });
  });

  test("refuses indexes that nest too deep", async () => {
    await using registry = TestRegistry.start();
    let inner = registry.addManifest("app", {
      mediaType: OCI_MANIFEST,
      bytes: (await imageFor(AMD64)).manifest,
    });
    for (let depth = 0; depth < 6; depth++) {
      const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [inner] };
      const bytes = new TextEncoder().encode(JSON.stringify(index));
      inner = registry.addManifest("app", { mediaType: OCI_INDEX, bytes, tag: "deep" });
    }
    await using source = await openImageSource(`${registry.host}/app:deep`);
    await expect(resolveImage(source, { platform: AMD64 })).rejects.toMatchObject({
      kind: "data-loss",
    });
  });

  test("throws not-found when the chosen manifest is not in the registry", async () => {
    const index = await indexFor("linux/amd64");
    await using registry = TestRegistry.start();
    registry.addManifest("app", { mediaType: OCI_INDEX, bytes: index.bytes, tag: "v1" });
    await using source = await openImageSource(`${registry.host}/app:v1`);
    await expect(resolveImage(source, { platform: AMD64 })).rejects.toMatchObject({
      kind: "not-found",
    });
  });
});

describe("resolveAllImages()", () => {
  test("leaves attestations and artifacts out", async () => {
    const index = await indexFor("linux/amd64", "linux/arm64");
    const [image] = index.images;
    const manifests = [
      ...index.images.map(({ descriptor }) => descriptor),
      { ...image?.descriptor, platform: { os: "unknown", architecture: "unknown" } },
      { ...image?.descriptor, artifactType: "application/vnd.amazon.soci.index.v2+json" },
    ];
    const document = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
    const bytes = new TextEncoder().encode(JSON.stringify(document));
    await using opened = await open({ ...index, bytes });
    const resolved = await resolveAllImages(opened.source);
    expect(resolved.map(({ descriptor }) => descriptor.digest)).toEqual(
      index.images.map(({ descriptor }) => descriptor.digest),
    );
  });
});
