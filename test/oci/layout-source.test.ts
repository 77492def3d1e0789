import { describe, expect, test } from "bun:test";
import { mkdir, rm, writeFile } from "node:fs/promises";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf, hexOf } from "../../src/oci/digest.ts";
import { LayoutWriter } from "../../src/oci/layout-writer.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { referrersTag } from "../../src/oci/referrers-tag.ts";
import { collect } from "../suite/image-source.ts";
import { type BuiltImage, buildImage, writeLayout } from "../support/image-builder.ts";
import { tempDir } from "../support/temp-dir.ts";

const ARTIFACT = "application/vnd.test.index.v1+json";
const REF_NAME = "org.opencontainers.image.ref.name";

function imageOfText(text: string): Promise<BuiltImage> {
  return buildImage({ layers: [{ entries: [{ name: "a", content: text }] }] });
}

/** Writes an artifact that refers to `subject`; returns its descriptor. */
async function putReferrer(
  dir: string,
  {
    subject,
    artifactType = ARTIFACT,
  }: { readonly subject: Descriptor; readonly artifactType?: string },
): Promise<Descriptor> {
  await using layout = await LayoutWriter.open(dir);
  const config = await layout.putBytes(artifactType, new TextEncoder().encode("{}"));
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [], subject };
  return await layout.putBytes(OCI_MANIFEST, new TextEncoder().encode(JSON.stringify(manifest)));
}

async function addEntry(dir: string, entry: Descriptor): Promise<void> {
  await using layout = await LayoutWriter.open(dir);
  await layout.addToIndex(entry);
}

describe("LayoutSource.root()", () => {
  test("is the entry with the tag", async () => {
    await using dir = await tempDir();
    const [one, two] = [await imageOfText("1"), await imageOfText("2")];
    await writeLayout(dir.path, { image: one, tag: "one" });
    await writeLayout(dir.path, { image: two, tag: "two" });
    await using source = await openImageSource(`oci:${dir.path}:two`);
    expect((await source.root()).digest).toBe(two.descriptor.digest);
  });

  test("is the entry with the digest", async () => {
    await using dir = await tempDir();
    const [one, two] = [await imageOfText("1"), await imageOfText("2")];
    await writeLayout(dir.path, { image: one });
    await writeLayout(dir.path, { image: two });
    await using source = await openImageSource(`oci:${dir.path}:${one.descriptor.digest}`);
    expect((await source.root()).digest).toBe(one.descriptor.digest);
  });

  test("is the only entry, without a tag", async () => {
    await using dir = await tempDir();
    const image = await imageOfText("1");
    await writeLayout(dir.path, { image, tag: "whatever" });
    await using source = await openImageSource(`oci:${dir.path}`);
    expect((await source.root()).digest).toBe(image.descriptor.digest);
  });

  test("is the image, where artifacts lie beside it", async () => {
    await using dir = await tempDir();
    const image = await imageOfText("1");
    await addEntryBefore(dir.path, image);
    await writeLayout(dir.path, { image });
    await using source = await openImageSource(`oci:${dir.path}`);
    expect((await source.root()).digest).toBe(image.descriptor.digest);
  });

  async function addEntryBefore(dir: string, image: BuiltImage): Promise<void> {
    await addEntry(dir, await putReferrer(dir, { subject: image.descriptor }));
    const listed = { mediaType: OCI_INDEX, digest: digestOf("not read"), size: 1 };
    const annotations = { [REF_NAME]: referrersTag(image.descriptor.digest) };
    await addEntry(dir, { ...listed, annotations });
  }

  test("throws invalid-argument and names the tags, where there are several", async () => {
    await using dir = await tempDir();
    await writeLayout(dir.path, { image: await imageOfText("1"), tag: "one" });
    await writeLayout(dir.path, { image: await imageOfText("2"), tag: "two" });
    await using source = await openImageSource(`oci:${dir.path}`);
    await expect(source.root()).rejects.toMatchObject({
      kind: "invalid-argument",
      hint: 'It has "one", "two"',
    });
  });

  test("throws not-found for a tag that is not there", async () => {
    await using dir = await tempDir();
    await writeLayout(dir.path, { image: await imageOfText("1"), tag: "one" });
    await using source = await openImageSource(`oci:${dir.path}:three`);
    await expect(source.root()).rejects.toMatchObject({ kind: "not-found", hint: 'It has "one"' });
  });

  test("throws not-found for an empty layout", async () => {
    await using dir = await tempDir();
    await LayoutWriter.open(dir.path);
    await using source = await openImageSource(`oci:${dir.path}`);
    await expect(source.root()).rejects.toMatchObject({ kind: "not-found" });
  });

  test.each([
    { title: "no oci-layout", name: "oci-layout", text: undefined, kind: "not-found" },
    { title: "no index.json", name: "index.json", text: undefined, kind: "not-found" },
    {
      title: "a newer version",
      name: "oci-layout",
      text: '{"imageLayoutVersion":"2.0.0"}',
      kind: "unsupported",
    },
    { title: "a damaged index", name: "index.json", text: '{"manifests":', kind: "data-loss" },
    {
      title: "an index with a bad digest",
      name: "index.json",
      text: '{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:..","size":1}]}',
      kind: "data-loss",
    },
  ])("throws $kind for a layout with $title", async ({ name, text, kind }) => {
    await using dir = await tempDir();
    await writeLayout(dir.path, { image: await imageOfText("1") });
    await rm(dir.join(name));
    if (text !== undefined) {
      await writeFile(dir.join(name), text);
    }
    await using source = await openImageSource(`oci:${dir.path}`);
    await expect(source.root()).rejects.toMatchObject({ kind });
  });
});

describe("LayoutSource.blob()", () => {
  test("refuses a damaged blob before its last chunk", async () => {
    await using dir = await tempDir();
    const image = await imageOfText("content");
    await writeLayout(dir.path, { image });
    const { descriptor } = image.config;
    const path = dir.join("blobs", "sha256", hexOf(descriptor.digest));
    await rm(path);
    await writeFile(path, new Uint8Array(descriptor.size));
    await using source = await openImageSource(`oci:${dir.path}`);
    await expect(collect(source.blob(descriptor))).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("refuses a directory in the place of a blob", async () => {
    await using dir = await tempDir();
    const image = await imageOfText("content");
    await writeLayout(dir.path, { image });
    const { descriptor } = image.config;
    const path = dir.join("blobs", "sha256", hexOf(descriptor.digest));
    await rm(path);
    await mkdir(path);
    await using source = await openImageSource(`oci:${dir.path}`);
    await expect(collect(source.blob(descriptor))).rejects.toThrow(path);
  });
});

describe("LayoutSource.referrers()", () => {
  test("finds manifests whose subject it is, of one type", async () => {
    await using dir = await tempDir();
    const image = await imageOfText("1");
    await writeLayout(dir.path, { image, tag: "v1" });
    const subject = image.descriptor;
    const wanted = await putReferrer(dir.path, { subject });
    await addEntry(dir.path, wanted);
    await addEntry(dir.path, await putReferrer(dir.path, { subject, artifactType: "a/other" }));
    await using source = await openImageSource(`oci:${dir.path}:v1`);
    expect(await source.referrers(subject.digest, ARTIFACT)).toEqual([
      { ...wanted, artifactType: ARTIFACT },
    ]);
  });

  test("finds those listed under the referrers tag", async () => {
    await using dir = await tempDir();
    const image = await imageOfText("1");
    await writeLayout(dir.path, { image, tag: "v1" });
    const { digest } = image.descriptor;
    const referrer = {
      ...(await putReferrer(dir.path, { subject: image.descriptor })),
      artifactType: ARTIFACT,
    };
    await using layout = await LayoutWriter.open(dir.path);
    const list = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [referrer] };
    const index = await layout.putBytes(OCI_INDEX, new TextEncoder().encode(JSON.stringify(list)));
    await layout.addToIndex({ ...index, annotations: { [REF_NAME]: referrersTag(digest) } });
    await using source = await openImageSource(`oci:${dir.path}:v1`);
    expect(await source.referrers(digest, ARTIFACT)).toEqual([referrer]);
  });

  test("passes over entries that are not in the layout", async () => {
    await using dir = await tempDir();
    const image = await imageOfText("1");
    await writeLayout(dir.path, { image, tag: "v1" });
    await addEntry(dir.path, { mediaType: OCI_MANIFEST, digest: digestOf("gone"), size: 4 });
    await using source = await openImageSource(`oci:${dir.path}:v1`);
    expect(await source.referrers(image.descriptor.digest, ARTIFACT)).toEqual([]);
  });
});
