import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { SociError } from "../../src/errors.ts";
import { ArchiveFiles } from "../../src/oci/archive-files.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { readWhole } from "../../src/oci/layout-files.ts";
import { parseImageManifest } from "../../src/oci/manifest.ts";
import { OCI_LAYER_GZIP, OCI_LAYER_TAR } from "../../src/oci/media-types.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { collect } from "../suite/image-source.ts";
import {
  type BuiltImage,
  buildDockerArchive,
  buildImage,
  buildOciArchive,
  buildTar,
  type LayerEntry,
} from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { tempDir } from "../support/temp-dir.ts";

async function archiveOf(path: string, entries: readonly LayerEntry[]): Promise<ArchiveFiles> {
  await writeFile(path, await buildTar(entries));
  return await ArchiveFiles.open(path);
}

async function textOf(files: ArchiveFiles, name: string): Promise<string | undefined> {
  await using slice = await files.open(name);
  return slice === undefined ? undefined : new TextDecoder().decode(await readWhole(slice));
}

function sampleImage(): Promise<BuiltImage> {
  return buildImage({ layers: [{ entries: [{ name: "a", content: "content" }] }] });
}

describe("ArchiveFiles", () => {
  test("finds members behind long bodies without reading those", async () => {
    await using dir = await tempDir();
    const big = sampleBytes(5_000_001);
    await using files = await archiveOf(dir.join("a.tar"), [
      { name: "big", content: big },
      { name: "small", content: "here" },
    ]);
    expect(await textOf(files, "small")).toBe("here");
    await using slice = await files.open("big");
    expect(slice?.size).toBe(big.length);
  });

  test.each([
    { title: "a dot before it", name: "./x", ask: "x" },
    { title: "a slash before it", name: "/x", ask: "x" },
    { title: "a way out of the archive", name: "../../x", ask: "x" },
    { title: "a detour", name: "a/../b//x", ask: "b/x" },
    { title: "a long name", name: `${"d/".repeat(120)}x`, ask: `${"d/".repeat(120)}x` },
  ])("takes a name with $title for a key", async ({ name, ask }) => {
    await using dir = await tempDir();
    await using files = await archiveOf(dir.join("a.tar"), [{ name, content: "here" }]);
    expect(await textOf(files, ask)).toBe("here");
  });

  test("takes the last of equal names", async () => {
    await using dir = await tempDir();
    await using files = await archiveOf(dir.join("a.tar"), [
      { name: "x", content: "old" },
      { name: "./x", content: "new" },
    ]);
    expect(await textOf(files, "x")).toBe("new");
  });

  test.each([
    { title: "symbolic, relative", type: "symlink", linkname: "../one/x" },
    { title: "symbolic, absolute", type: "symlink", linkname: "/one/x" },
    { title: "hard", type: "link", linkname: "one/x" },
  ] as const)("follows a link: $title", async ({ type, linkname }) => {
    await using dir = await tempDir();
    await using files = await archiveOf(dir.join("a.tar"), [
      { name: "one/x", content: "here" },
      { name: "two/y", type, linkname },
    ]);
    expect(await textOf(files, "two/y")).toBe("here");
  });

  test("refuses a circle of links", async () => {
    await using dir = await tempDir();
    await using files = await archiveOf(dir.join("a.tar"), [
      { name: "a", type: "symlink", linkname: "b" },
      { name: "b", type: "symlink", linkname: "a" },
    ]);
    await expect(files.open("a")).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("never leads to a file outside", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("secret"), "outside");
    await using files = await archiveOf(dir.join("a.tar"), [
      { name: "x", type: "symlink", linkname: dir.join("secret") },
    ]);
    expect(await textOf(files, "x")).toBeUndefined();
  });

  test("refuses a compressed archive, and says what to do", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("a.tgz"), gzipSync(await buildTar([{ name: "x", content: "x" }])));
    await expect(ArchiveFiles.open(dir.join("a.tgz"))).rejects.toMatchObject({
      kind: "unsupported",
      hint: "Decompress it first",
    });
  });

  test("throws not-found for an absent archive", async () => {
    await using dir = await tempDir();
    await expect(ArchiveFiles.open(dir.join("none"))).rejects.toMatchObject({ kind: "not-found" });
  });

  test("refuses an archive that is cut off in a body", async () => {
    await using dir = await tempDir();
    const tar = await buildTar([{ name: "x", content: sampleBytes(100_000) }]);
    await writeFile(dir.join("a.tar"), tar.subarray(0, 50_000));
    await expect(ArchiveFiles.open(dir.join("a.tar"))).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("throws nothing but SociError, whatever is damaged", async () => {
    await using dir = await tempDir();
    const tar = await buildOciArchive(await sampleImage());
    const place = fc.integer({ min: 0, max: tar.length - 1 });
    await fc.assert(
      fc.asyncProperty(
        place,
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, bits, cut) => {
          const damaged = cut ? tar.slice(0, at) : tar.slice();
          if (!cut) {
            damaged[at] = (damaged[at] ?? 0) ^ bits;
          }
          await writeFile(dir.join("a.tar"), damaged);
          const failure = await readAll(`oci-archive:${dir.join("a.tar")}`);
          expect(failure === undefined || failure instanceof SociError).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});

/** Reads an image whole; its failure. */
async function readAll(name: string): Promise<unknown> {
  try {
    await using source = await openImageSource(name);
    const manifest = parseImageManifest(await source.manifest(await source.root()));
    for (const blob of [manifest.config, ...manifest.layers]) {
      await collect(source.blob(blob));
    }
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("docker-archive:", () => {
  test("shows plain tars as an OCI image of the same layers, always the same", async () => {
    await using dir = await tempDir();
    const image = await sampleImage();
    await writeFile(dir.join("a.tar"), await buildDockerArchive(image));
    await using source = await openImageSource(`docker-archive:${dir.join("a.tar")}`);
    await using again = await openImageSource(`docker-archive:${dir.join("a.tar")}`);
    const root = await source.root();
    expect(await again.root()).toEqual(root);
    const { layers } = parseImageManifest(await source.manifest(root));
    expect(layers).toEqual(
      image.layers.map(({ tar }) => ({
        mediaType: OCI_LAYER_TAR,
        digest: digestOf(tar),
        size: tar.length,
      })),
    );
  });

  test("knows a layer that is compressed", async () => {
    await using dir = await tempDir();
    const layer = gzipSync(await buildTar([{ name: "a", content: "a" }]));
    await writeFile(dir.join("a.tar"), await archiveWith({ layer }));
    await using source = await openImageSource(`docker-archive:${dir.join("a.tar")}`);
    const { layers } = parseImageManifest(await source.manifest(await source.root()));
    expect(layers.map(({ mediaType }) => mediaType)).toEqual([OCI_LAYER_GZIP]);
  });

  test("lists a layer twice that stands there as a link", async () => {
    await using dir = await tempDir();
    const layer = await buildTar([{ name: "a", content: "a" }]);
    const second: LayerEntry = { name: "two/layer.tar", type: "symlink", linkname: "../layer.tar" };
    await writeFile(
      dir.join("a.tar"),
      await archiveWith({ layer, more: [second], layers: ["layer.tar", "two/layer.tar"] }),
    );
    await using source = await openImageSource(`docker-archive:${dir.join("a.tar")}`);
    const { layers } = parseImageManifest(await source.manifest(await source.root()));
    expect(layers.map(({ digest }) => digest)).toEqual([digestOf(layer), digestOf(layer)]);
  });

  test("chooses an image by its name, however it is spelled", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("a.tar"), await archiveWith({ tags: ["app:v1"] }));
    await using source = await openImageSource(
      `docker-archive:${dir.join("a.tar")}:docker.io/library/app:v1`,
    );
    expect((await source.root()).size).toBeGreaterThan(0);
  });

  test("throws not-found for another name", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("a.tar"), await archiveWith({ tags: ["app:v1"] }));
    await using source = await openImageSource(`docker-archive:${dir.join("a.tar")}:other`);
    await expect(source.root()).rejects.toMatchObject({ kind: "not-found", hint: "It has app:v1" });
  });

  test.each([
    { title: "no manifest.json", list: undefined, kind: "not-found" },
    { title: "a manifest.json that is no list", list: "{}", kind: "data-loss" },
    { title: "an empty list", list: "[]", kind: "not-found" },
    {
      title: "two images and no name",
      list: '[{"Config":"config.json"},{"Config":"config.json"}]',
      kind: "invalid-argument",
    },
    {
      title: "a config that is not there",
      list: '[{"Config":"/etc/passwd","Layers":[]}]',
      kind: "not-found",
    },
    {
      title: "a layer that is not there",
      list: '[{"Config":"config.json","Layers":["../../etc/passwd"]}]',
      kind: "not-found",
    },
    {
      title: "layers that are numbers",
      list: '[{"Config":"config.json","Layers":[1]}]',
      kind: "data-loss",
    },
  ])("throws $kind for an archive with $title", async ({ list, kind }) => {
    await using dir = await tempDir();
    const manifest: LayerEntry[] =
      list === undefined ? [] : [{ name: "manifest.json", content: list }];
    await writeFile(
      dir.join("a.tar"),
      await buildTar([{ name: "config.json", content: "{}" }, ...manifest]),
    );
    await using source = await openImageSource(`docker-archive:${dir.join("a.tar")}`);
    await expect(source.root()).rejects.toMatchObject({ kind });
  });
});

async function archiveWith({
  layer = new Uint8Array(1024),
  layers = ["layer.tar"],
  tags = [],
  more = [],
}: {
  readonly layer?: Uint8Array;
  readonly layers?: readonly string[];
  readonly tags?: readonly string[];
  readonly more?: readonly LayerEntry[];
}): Promise<Uint8Array> {
  const list = [{ Config: "config.json", RepoTags: tags, Layers: layers }];
  return await buildTar([
    { name: "layer.tar", content: layer },
    ...more,
    { name: "config.json", content: "{}" },
    { name: "manifest.json", content: JSON.stringify(list) },
  ]);
}
