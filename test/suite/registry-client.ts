import { describe, expect, test } from "bun:test";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST, OCTET_STREAM } from "../../src/oci/media-types.ts";
import { parseReference, type TagName } from "../../src/oci/reference.ts";
import type { RegistryClient } from "../../src/oci/registry.ts";
import { type BuiltImage, buildImage } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { collect } from "./image-source.ts";

/** A registry that holds `image` as `app:v1`, and clients of it: disposing ends all. */
export interface OpenedRegistry extends AsyncDisposable {
  /** Of a repository; one that has not been named yet is empty. */
  client(repository: string): RegistryClient;
}

export interface RegistryClientSuite {
  readonly name: string;
  readonly open: (image: BuiltImage) => Promise<OpenedRegistry>;
}

export const SUITE_IMAGE: BuiltImage = await buildImage({
  layers: [{ entries: [{ name: "a", content: sampleBytes(300_000) }], compression: "none" }],
});

const ARTIFACT = "application/vnd.test.index.v1+json";
const V1 = tagOf("app:v1");
const ABSENT = digestOf("not there");

/** What a RegistryClient does with every registry, whatever its manners. */
export function describeRegistryClient({ name, open }: RegistryClientSuite): void {
  describe(`RegistryClient with ${name}`, () => {
    const layer = firstOf(SUITE_IMAGE.layers);
    const bytes = sampleBytes(150_000, 3);
    const blob: Descriptor = {
      mediaType: OCTET_STREAM,
      digest: digestOf(bytes),
      size: bytes.length,
    };

    test("getManifest() gives the same by tag and by digest", async () => {
      await using registry = await open(SUITE_IMAGE);
      const client = registry.client("app");
      const byTag = await client.getManifest(V1);
      expect(byTag.descriptor).toEqual(SUITE_IMAGE.descriptor);
      const byDigest = await client.getManifest(SUITE_IMAGE.descriptor.digest);
      expect(byDigest.bytes).toEqual(byTag.bytes);
    });

    test("getManifest() throws not-found for an absent manifest", async () => {
      await using registry = await open(SUITE_IMAGE);
      const read = registry.client("app").getManifest(ABSENT);
      await expect(read).rejects.toMatchObject({ kind: "not-found" });
    });

    test("getBlob() gives a whole blob", async () => {
      await using registry = await open(SUITE_IMAGE);
      const got = await collect(registry.client("app").getBlob(layer.descriptor));
      expect(got.equals(layer.bytes)).toBe(true);
    });

    test("getBlob() throws not-found for an absent blob", async () => {
      await using registry = await open(SUITE_IMAGE);
      const absent = { ...blob, digest: ABSENT };
      const read = collect(registry.client("app").getBlob(absent));
      await expect(read).rejects.toMatchObject({ kind: "not-found" });
    });

    test("getBlobRange() gives exactly the bytes asked for, many at once", async () => {
      await using registry = await open(SUITE_IMAGE);
      const client = registry.client("app");
      const ranges = Array.from({ length: 24 }, (_, i) => ({
        start: i * 10_000,
        end: i * 10_000 + 1 + i * 777,
      }));
      const got = await Promise.all(
        ranges.map((range) => collect(client.getBlobRange(layer.descriptor, range))),
      );
      expect(
        got.map((piece, i) => piece.equals(layer.bytes.subarray(ranges[i]?.start, ranges[i]?.end))),
      ).toEqual(ranges.map(() => true));
    });

    test("uploadBlob() stores a blob, and sends it once only", async () => {
      await using registry = await open(SUITE_IMAGE);
      const client = registry.client("app");
      expect(await client.uploadBlob(blob, () => piecesOf(bytes))).toBe(true);
      expect(await client.uploadBlob(blob, () => piecesOf(bytes))).toBe(false);
      expect((await collect(client.getBlob(blob))).equals(bytes)).toBe(true);
    });

    test("uploadBlob() stores an empty blob", async () => {
      await using registry = await open(SUITE_IMAGE);
      const empty = { mediaType: OCTET_STREAM, digest: digestOf(""), size: 0 };
      const client = registry.client("app");
      expect(await client.uploadBlob(empty, () => [])).toBe(true);
      expect(await client.headBlob(empty.digest)).toBe(0);
    });

    test("uploadBlob() refuses bytes of another digest and stores nothing", async () => {
      await using registry = await open(SUITE_IMAGE);
      const client = registry.client("app");
      const wrong = sampleBytes(bytes.length, 4);
      const upload = client.uploadBlob(blob, () => piecesOf(wrong));
      await expect(upload).rejects.toMatchObject({ kind: "data-loss" });
      expect(await client.headBlob(blob.digest)).toBeUndefined();
    });

    test("uploadBlob() brings a blob from another repository, mounted or sent", async () => {
      await using registry = await open(SUITE_IMAGE);
      const client = registry.client("other");
      const { repository } = parseReference("localhost/app");
      await client.uploadBlob(layer.descriptor, () => piecesOf(layer.bytes), {
        mountFrom: repository,
      });
      const got = await collect(client.getBlob(layer.descriptor));
      expect(got.equals(layer.bytes)).toBe(true);
    });

    test("referrers() lists what was pushed, of its type only", async () => {
      await using registry = await open(SUITE_IMAGE);
      const client = registry.client("app");
      const first = await pushReferrer(client, ARTIFACT, 1);
      await pushReferrer(client, "application/other", 2);
      const third = await pushReferrer(client, ARTIFACT, 3);
      const found = await client.referrers(SUITE_IMAGE.descriptor.digest, ARTIFACT);
      expect(found.map(({ digest }) => digest)).toEqual([first.digest, third.digest]);
    });

    test("referrers() is empty where nothing refers to the subject", async () => {
      await using registry = await open(SUITE_IMAGE);
      expect(await registry.client("app").referrers(ABSENT, ARTIFACT)).toEqual([]);
    });

    test("deleteManifest() tells whether the registry did it", async () => {
      await using registry = await open(SUITE_IMAGE);
      const client = registry.client("app");
      const { digest } = await pushReferrer(client, ARTIFACT, 1);
      const isGone = await client.deleteManifest(digest);
      const found = await client.getManifest(digest).then(
        () => true,
        () => false,
      );
      expect(found).toBe(!isGone);
    });
  });
}

/** Pushes an artifact that refers to the image, as a SOCI index is pushed. */
export async function pushReferrer(
  client: RegistryClient,
  artifactType: string,
  number: number,
): Promise<Descriptor> {
  const config = new TextEncoder().encode("{}");
  const digest = digestOf(config);
  await client.uploadBlob({ mediaType: OCTET_STREAM, digest, size: 2 }, () => [config]);
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: artifactType, digest, size: 2 },
    layers: [],
    subject: SUITE_IMAGE.descriptor,
    annotations: { number: String(number) },
  };
  const bytes = new TextEncoder().encode(JSON.stringify(manifest));
  const put = await client.putManifest(bytes, { mediaType: OCI_MANIFEST });
  const referrer = {
    mediaType: OCI_MANIFEST,
    digest: put.digest,
    size: bytes.length,
    artifactType,
  };
  if (put.subject === undefined) {
    const subject = SUITE_IMAGE.descriptor.digest;
    await client.updateReferrersTag({ subject, referrer });
  }
  return referrer;
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 20_000) {
    yield bytes.subarray(at, at + 20_000);
  }
}

function tagOf(name: string): TagName {
  const { tag } = parseReference(name);
  if (tag === undefined) {
    throw new Error(`${name} has no tag`);
  }
  return tag;
}

function firstOf<T>([item]: readonly T[]): T {
  if (item === undefined) {
    throw new Error("there is none");
  }
  return item;
}
