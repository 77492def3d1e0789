import { beforeAll, describe, expect, test } from "bun:test";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { ImageSource } from "../../src/oci/image-source.ts";
import { parseImageManifest } from "../../src/oci/manifest.ts";
import { rejectionOf } from "../support/failure.ts";
import { buildTar, imageOf, layerOf, type BuiltImage } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

/** A source that holds `image`, and what it needs: disposing ends both. */
export interface OpenedSource extends AsyncDisposable {
  readonly source: ImageSource;
}

export interface ImageSourceSuite {
  readonly name: string;
  /** Puts the image somewhere, under the tag `v1`, and opens it. */
  readonly open: (image: BuiltImage) => Promise<OpenedSource>;
}

const ABSENT: Descriptor = {
  mediaType: "application/octet-stream",
  digest: digestOf("not there"),
  size: 9,
};

let shared: Promise<BuiltImage> | undefined;

/** Plain tars as layers: also what an archive without compressed layers can hold as they are. */
async function buildSample(): Promise<BuiltImage> {
  // More than arrives in one piece.
  const tar = await buildTar([{ name: "big", content: sampleBytes(4_000_000, 7) }]);
  const small = await buildTar([{ name: "etc/hosts", content: "127.0.0.1 localhost\n" }]);
  return imageOf([layerOf(small, "none"), layerOf(tar, "none")]);
}

/** What every ImageSource promises. */
export function describeImageSource({ name, open }: ImageSourceSuite): void {
  describe(`${name} as an ImageSource`, () => {
    let image: BuiltImage;

    beforeAll(async () => {
      shared ??= buildSample();
      image = await shared;
    });

    test("root() leads to a manifest with the image's config and layers", async () => {
      await using opened = await open(image);
      const root = await opened.source.root();
      const manifest = parseImageManifest(await opened.source.manifest(root));
      expect(manifest.config.digest).toBe(image.config.descriptor.digest);
      expect(manifest.layers).toEqual(image.layers.map(({ descriptor }) => descriptor));
    });

    test("root() gives the same descriptor each time", async () => {
      await using opened = await open(image);
      const [first, second] = await Promise.all([opened.source.root(), opened.source.root()]);
      expect(first).toEqual(second);
      expect(await opened.source.root()).toEqual(first);
    });

    test("manifest() gives exactly the bytes of its descriptor", async () => {
      await using opened = await open(image);
      const root = await opened.source.root();
      const bytes = await opened.source.manifest(root);
      expect(digestOf(bytes)).toBe(root.digest);
      expect(bytes.length).toBe(root.size);
    });

    test("manifest() refuses a descriptor of another size", async () => {
      await using opened = await open(image);
      const root = await opened.source.root();
      const wrong = { ...root, size: root.size + 1 };
      expect(await rejectionOf(opened.source.manifest(wrong))).toMatchObject({ kind: "data-loss" });
    });

    test("manifest() throws not-found for an absent manifest", async () => {
      await using opened = await open(image);
      expect(await rejectionOf(opened.source.manifest(ABSENT))).toMatchObject({
        kind: "not-found",
      });
    });

    test("blob() gives whole blobs, the config among them", async () => {
      await using opened = await open(image);
      for (const { descriptor, bytes } of [image.config, ...image.layers]) {
        expect(await collect(opened.source.blob(descriptor))).toEqual(Buffer.from(bytes));
      }
    });

    test("blob() throws not-found for an absent blob", async () => {
      await using opened = await open(image);
      expect(await rejectionOf(collect(opened.source.blob(ABSENT)))).toMatchObject({
        kind: "not-found",
      });
    });

    test("blob() refuses a blob of another size than its descriptor's", async () => {
      await using opened = await open(image);
      const { descriptor } = layerAt(image, 1);
      const wrong = { ...descriptor, size: descriptor.size - 1 };
      expect(await rejectionOf(collect(opened.source.blob(wrong)))).toMatchObject({
        kind: "data-loss",
      });
    });

    test("blob() throws the signal's reason when aborted on the way", async () => {
      await using opened = await open(image);
      const controller = new AbortController();
      const reason = new Error("enough");
      const read = async (): Promise<void> => {
        const { descriptor } = layerAt(image, 1);
        for await (const _chunk of opened.source.blob(descriptor, { signal: controller.signal })) {
          controller.abort(reason);
        }
      };
      expect(await rejectionOf(read())).toBe(reason);
    });

    test.each([
      { title: "at the start", start: 0, end: 1000 },
      { title: "in the middle", start: 300_000, end: 700_001 },
      { title: "up to the end", start: 3_900_000, end: undefined },
      { title: "the whole", start: 0, end: undefined },
      { title: "one byte", start: 512, end: 513 },
      { title: "nothing", start: 512, end: 512 },
    ])("blobRange() gives exactly the bytes asked for: $title", async ({ start, end }) => {
      await using opened = await open(image);
      const { descriptor, bytes } = layerAt(image, 1);
      const range = { start, end: end ?? descriptor.size };
      const got = await collect(opened.source.blobRange(descriptor, range));
      expect(got.equals(bytes.subarray(range.start, range.end))).toBe(true);
    });

    test("blobRange() may be left early", async () => {
      await using opened = await open(image);
      const { descriptor } = layerAt(image, 1);
      for await (const chunk of opened.source.blobRange(descriptor, { start: 0, end: 900_000 })) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      expect(
        (await collect(opened.source.blobRange(descriptor, { start: 0, end: 9 }))).length,
      ).toBe(9);
    });

    test("referrers() is an empty list when nothing refers to the image", async () => {
      await using opened = await open(image);
      const { digest } = await opened.source.root();
      expect(await opened.source.referrers(digest, "application/test")).toEqual([]);
    });

    test("stats count the bytes that were read", async () => {
      await using opened = await open(image);
      await opened.source.root();
      const before = opened.source.stats;
      const { descriptor } = layerAt(image, 1);
      await collect(opened.source.blobRange(descriptor, { start: 10, end: 5010 }));
      const after = opened.source.stats;
      // More than was asked for only where the place cannot give less.
      expect(after.bytes - before.bytes).toBeGreaterThanOrEqual(5000);
      expect(after.requests).toBeGreaterThan(before.requests);
    });

    test("dispose may be called twice", async () => {
      const opened = await open(image);
      await opened.source[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
      expect(opened.source.name).toContain("v1");
    });
  });
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) {
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

function layerAt(image: BuiltImage, index: number): BuiltImage["layers"][number] {
  const layer = image.layers[index];
  if (layer === undefined) {
    throw new Error(`the image has no layer ${index}`);
  }
  return layer;
}
