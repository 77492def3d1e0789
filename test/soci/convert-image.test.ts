import { describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { LayoutWriter } from "../../src/oci/layout-writer.ts";
import { parseImageIndex } from "../../src/oci/manifest.ts";
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { openImageDestination } from "../../src/oci/open-image-destination.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { parseSourceName } from "../../src/oci/source-name.ts";
import { type ConvertImageOptions, convertImage } from "../../src/soci/convert-image.ts";
import { LayoutSink } from "../../src/soci/layout-sink.ts";
import { localZtocFactory } from "../../src/ztoc/build-ztoc.ts";
import { rejectionOf } from "../support/failure.ts";
import {
  addImage,
  buildDockerArchive,
  type BuiltImage,
  buildImage,
  buildIndex,
  writeLayout,
} from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const ARM64 = { os: "linux", architecture: "arm64" };
const V2 = "application/vnd.amazon.soci.index.v2+json";
const INDEX_DIGEST = "com.amazon.soci.index-digest";
const IMAGE_DIGEST = "com.amazon.soci.image-manifest-digest";
const buildZtoc = localZtocFactory({ engine: () => new PakoEngine() });

const image = await buildImage({
  layers: [
    { entries: [{ name: "a", content: sampleBytes(100_000, 1) }] },
    { entries: [{ name: "b", content: "small" }], compression: "zstd" },
  ],
});
const other = await buildImage({
  layers: [{ entries: [{ name: "c", content: sampleBytes(50_000, 2) }] }],
  platform: ARM64,
});
const both = buildIndex([
  { image, platform: AMD64 },
  { image: other, platform: ARM64 },
]);

async function convert(
  temp: TempDir,
  from: string,
  to: string,
  options: Partial<ConvertImageOptions> = {},
) {
  const [source, target] = [parseSourceName(from), parseSourceName(to)];
  await using sourceImage = await openImageSource(from);
  await using destination = await openImageDestination(target, {
    source: source.transport === "registry" ? source.reference : undefined,
    cwd: temp.path,
  });
  await using sink = await LayoutSink.open(temp.join("sink"));
  return await convertImage({
    source: sourceImage,
    destination,
    sink,
    platforms: "all",
    isListed: false,
    buildZtoc,
    parallel: 2,
    minLayerSize: 0,
    ...options,
  });
}

async function readLayoutBlob(path: string, { digest }: Descriptor) {
  await using layout = await LayoutWriter.open(path);
  return await layout.readBlob(digest);
}

async function entriesOf(path: string, root: Descriptor): Promise<readonly Descriptor[]> {
  return parseImageIndex(await readLayoutBlob(path, root)).manifests;
}

describe("convertImage()", () => {
  test("writes the image and a SOCI index that name each other", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image });
    const { descriptor } = await convert(temp, `oci:${temp.join("in")}`, `oci:${temp.join("out")}`);
    const [manifest, soci] = await entriesOf(temp.join("out"), descriptor);
    expect(manifest).toMatchObject({
      mediaType: OCI_MANIFEST,
      platform: AMD64,
      annotations: { [INDEX_DIGEST]: soci?.digest ?? "" },
    });
    expect(soci).toMatchObject({
      mediaType: OCI_MANIFEST,
      artifactType: V2,
      platform: AMD64,
      annotations: { [IMAGE_DIGEST]: manifest?.digest ?? "" },
    });
    await using converted = await openImageSource(`oci:${temp.join("out")}`);
    expect(await converted.root()).toMatchObject({ digest: descriptor.digest });
  });

  test("gives the same digest again, and for what is converted already", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image: both });
    const digests = [];
    for (const [from, to] of [
      ["in", "one"],
      ["in", "two"],
      ["one", "three"],
      ["one", "one"],
    ] as const) {
      const converted = await convert(temp, `oci:${temp.join(from)}`, `oci:${temp.join(to)}`);
      digests.push(converted.descriptor.digest);
    }
    expect(new Set(digests).size).toBe(1);
  });

  test("keeps another platform's index when one platform is converted again", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image: both });
    const all = await convert(temp, `oci:${temp.join("in")}`, `oci:${temp.join("all")}`);
    const again = await convert(temp, `oci:${temp.join("all")}`, `oci:${temp.join("again")}`, {
      platforms: [ARM64],
      spanSize: 65_536,
    });
    const before = await entriesOf(temp.join("all"), all.descriptor);
    const after = await entriesOf(temp.join("again"), again.descriptor);
    expect(after).toHaveLength(4);
    expect([after[0], after[2]]).toEqual([before[0], before[2]]);
    expect(after[3]?.digest).not.toBe(before[3]?.digest);
  });

  test("leaves attestations and what no platform needs as they are", async () => {
    await using temp = await tempDir();
    const attestation = await buildImage({
      layers: [{ entries: [{ name: "x", content: "1" }] }],
      platform: { os: "unknown", architecture: "unknown" },
    });
    const annotations = {
      "vnd.docker.reference.type": "attestation-manifest",
      "vnd.docker.reference.digest": image.descriptor.digest,
    };
    const platform = { os: "unknown", architecture: "unknown" };
    const entry = { ...attestation.descriptor, annotations, platform };
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [{ ...image.descriptor, platform: AMD64 }, entry],
      }),
    );
    const descriptor = { mediaType: OCI_INDEX, digest: digestOf(bytes), size: bytes.length };
    await writeLayout(temp.join("in"), {
      image: { descriptor, bytes, images: [image, attestation] },
    });
    const converted = await convert(temp, `oci:${temp.join("in")}`, `oci:${temp.join("out")}`);
    const entries = await entriesOf(temp.join("out"), converted.descriptor);
    expect(entries[1]).toEqual(entry);
    expect(Buffer.from(await readLayoutBlob(temp.join("out"), entry))).toEqual(
      Buffer.from(attestation.manifest),
    );
    const [layer] = attestation.layers;
    expect(layer && (await readLayoutBlob(temp.join("out"), layer.descriptor))).toBeDefined();
  });

  test("makes OCI's types of Docker's, and leaves config and layers as they are", async () => {
    await using temp = await tempDir();
    const docker = await buildImage({
      layers: [{ entries: [{ name: "a", content: sampleBytes(50_000, 3) }] }],
      docker: true,
    });
    await writeLayout(temp.join("in"), { image: docker });
    const { descriptor } = await convert(temp, `oci:${temp.join("in")}`, `oci:${temp.join("out")}`);
    const [entry] = await entriesOf(temp.join("out"), descriptor);
    const bytes = entry && (await readLayoutBlob(temp.join("out"), entry));
    const manifest = JSON.parse(Buffer.from(bytes ?? "").toString());
    const before = JSON.parse(Buffer.from(docker.manifest).toString());
    expect(manifest.mediaType).toBe(OCI_MANIFEST);
    expect(manifest.config).toEqual({ ...before.config, mediaType: OCI_CONFIG });
    expect(manifest.layers).toEqual(before.layers);
  });

  test("converts what docker save wrote", async () => {
    await using temp = await tempDir();
    const plain = await buildImage({
      layers: [{ entries: [{ name: "a", content: sampleBytes(50_000, 3) }], compression: "none" }],
    });
    await writeFile(temp.join("in.tar"), await buildDockerArchive(plain));
    const from = `docker-archive:${temp.join("in.tar")}`;
    const { descriptor, platforms } = await convert(temp, from, `oci:${temp.join("out")}`);
    expect(platforms[0]?.layers).toMatchObject([{ status: "built" }]);
    expect(await entriesOf(temp.join("out"), descriptor)).toHaveLength(2);
  });

  test("leaves entries out whose manifests are not there", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image });
    await using layout = await LayoutWriter.open(temp.join("in"));
    await layout.putBytes(OCI_INDEX, both.bytes);
    await layout.setIndex(both.descriptor);
    const missing: string[] = [];
    const { descriptor } = await convert(
      temp,
      `oci:${temp.join("in")}`,
      `oci:${temp.join("out")}`,
      { onMissing: ({ digest }) => missing.push(digest) },
    );
    expect(missing).toEqual([other.descriptor.digest]);
    expect(await entriesOf(temp.join("out"), descriptor)).toHaveLength(2);
  });

  test.each([
    {
      title: "no layer can be indexed",
      options: { minLayerSize: 1e9 },
      kind: "failed-precondition",
    },
    {
      title: "a platform is not there",
      options: { platforms: [{ os: "linux", architecture: "s390x" }] },
      kind: "not-found",
    },
  ])("throws and names no image when $title", async ({ options, kind }) => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image: both });
    const [from, to] = [`oci:${temp.join("in")}`, `oci:${temp.join("out")}`];
    expect(await rejectionOf(convert(temp, from, to, options))).toMatchObject({ kind });
    await using layout = await LayoutWriter.open(temp.join("out"));
    expect((await layout.readIndex()).manifests).toEqual([]);
  });

  test("throws data-loss and names no image when a layer is damaged", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image });
    await using layout = await LayoutWriter.open(temp.join("in"));
    const [layer] = image.layers;
    if (layer === undefined) throw new Error("the image has no layer");
    await writeFile(layout.blobPath(layer.descriptor.digest), Buffer.alloc(layer.bytes.length));
    const work = convert(temp, `oci:${temp.join("in")}`, `oci-archive:${temp.join("out.tar")}`);
    expect(await rejectionOf(work)).toMatchObject({ kind: "data-loss" });
    expect(await rejectionOf(readFile(temp.join("out.tar")))).toMatchObject({ code: "ENOENT" });
  });

  test("throws the reason of an abort", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image });
    const signal = AbortSignal.abort(new Error("enough"));
    const work = convert(temp, `oci:${temp.join("in")}`, `oci:${temp.join("out")}`, { signal });
    expect(await rejectionOf(work)).toMatchObject({ message: "enough" });
  });

  test("refuses an image index that lists an artifact alone", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image: buildIndex([]) });
    const work = convert(temp, `oci:${temp.join("in")}`, `oci:${temp.join("out")}`);
    expect(await rejectionOf(work)).toMatchObject({ kind: "not-found" });
  });
});

describe("convertImage() to an archive", () => {
  test("writes the same bytes from a registry as from a layout, and they are an image", async () => {
    await using temp = await tempDir();
    await using registry = TestRegistry.start();
    await addImage(registry, "app", { image: both, tag: "v1" });
    await writeLayout(temp.join("in"), { image: both });
    await convert(temp, `${registry.host}/app:v1`, `oci-archive:${temp.join("one.tar")}`);
    await convert(temp, `oci:${temp.join("in")}`, `oci-archive:${temp.join("two.tar")}`);
    const [one, two] = [await readFile(temp.join("one.tar")), await readFile(temp.join("two.tar"))];
    expect(one.equals(two)).toBe(true);
    await using archive = await openImageSource(`oci-archive:${temp.join("one.tar")}`);
    expect(await archive.root()).toMatchObject({ mediaType: OCI_INDEX });
  });

  test("refuses a directory, and leaves nothing beside the archive", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image });
    const from = `oci:${temp.join("in")}`;
    expect(await rejectionOf(convert(temp, from, `oci-archive:${temp.path}`))).toMatchObject({
      kind: "failed-precondition",
    });
    await convert(temp, from, `oci-archive:${temp.join("dir")}`);
    expect([
      ...new Bun.Glob(".sociable-*").scanSync({ cwd: temp.path, dot: true, onlyFiles: false }),
    ]).toEqual([]);
  });
});

async function withRegistry(
  work: (at: {
    readonly registry: TestRegistry;
    readonly temp: TempDir;
    /** Requests of a method whose path has a part. */
    readonly requests: (method: string, part: string) => number;
  }) => Promise<void>,
): Promise<void> {
  await using temp = await tempDir();
  await using registry = TestRegistry.start();
  await addImage(registry, "app", { image: both, tag: "v1" });
  const requests = (method: string, part: string) =>
    registry.requests.filter((one) => one.method === method && one.path.includes(part)).length;
  await work({ registry, temp, requests });
}

/** Layers that get a zTOC. */
const INDEXED = 2;

function blobCount(...images: readonly BuiltImage[]): number {
  return images.reduce((sum, { layers }) => sum + layers.length + 1, 0);
}

describe("convertImage() from registry to registry", () => {
  test("copies nothing within a repository", () =>
    withRegistry(async ({ registry, temp, requests }) => {
      const { descriptor } = await convert(
        temp,
        `${registry.host}/app:v1`,
        `${registry.host}/app:v2`,
      );
      expect(registry.manifest("app", "v2")).toMatchObject({ mediaType: OCI_INDEX });
      expect(digestOf(registry.manifest("app", "v2")?.bytes ?? "")).toBe(descriptor.digest);
      // zTOCs and the config of their index alone are sent; layers that are indexed alone are read.
      expect(requests("POST", "/blobs/uploads/")).toBe(INDEXED + 1);
      expect(requests("GET", "/blobs/")).toBe(INDEXED);
      registry.clearRequests();
      await convert(temp, `${registry.host}/app:v1`, `${registry.host}/app:v2`);
      expect(requests("POST", "/")).toBe(0);
    }));

  test("mounts blobs from another repository, and reads each layer once", () =>
    withRegistry(async ({ registry, temp, requests }) => {
      await convert(temp, `${registry.host}/app:v1`, `${registry.host}/copy:v1`);
      expect(requests("POST", "mount=")).toBe(blobCount(image, other));
      expect(requests("GET", "/blobs/")).toBe(INDEXED);
      for (const { descriptor } of [...image.layers, ...other.layers]) {
        expect(await registry.hasBlob("copy", descriptor.digest)).toBe(true);
      }
    }));

  test("sends blobs where they cannot be mounted, and reads each once when there is a stage", () =>
    withRegistry(async ({ registry, temp, requests }) => {
      await using target = TestRegistry.start();
      await using stage = await LayoutWriter.open(temp.join("stage"));
      await convert(temp, `${registry.host}/app:v1`, `${target.host}/copy:v1`, { stage });
      expect(requests("GET", "/blobs/")).toBe(blobCount(image, other));
      const [layer] = image.layers;
      expect(layer && (await target.hasBlob("copy", layer.descriptor.digest))).toBe(true);
      await using copy = await openImageSource(`${target.host}/copy:v1`);
      expect(await copy.root()).toMatchObject({ mediaType: OCI_INDEX });
    }));

  test.each(["ignored", "forbidden"] as const)("sends blobs where mounts are %s", (mounts) =>
    withRegistry(async ({ registry, temp }) => {
      registry.manners.mounts = mounts;
      await convert(temp, `${registry.host}/app:v1`, `${registry.host}/copy:v1`);
      const [layer] = image.layers;
      expect(layer && (await registry.hasBlob("copy", layer.descriptor.digest))).toBe(true);
      expect(registry.openUploads).toBe(0);
    }),
  );

  test("puts no tag when an upload fails", () =>
    withRegistry(async ({ registry, temp }) => {
      registry.failNext(1000, { status: 403, method: "POST" });
      const work = convert(temp, `${registry.host}/app:v1`, `${registry.host}/copy:v1`);
      expect(await rejectionOf(work)).toMatchObject({ kind: "permission-denied" });
      expect(registry.manifest("copy", "v1")).toBeUndefined();
    }));
});
