import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf, hexOf } from "../../src/oci/digest.ts";
import { LayoutWriter } from "../../src/oci/layout-writer.ts";
import { parseImageIndex } from "../../src/oci/manifest.ts";
import { OCI_INDEX } from "../../src/oci/media-types.ts";
import { openImageDestination } from "../../src/oci/open-image-destination.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { parseSourceName } from "../../src/oci/source-name.ts";
import { convertImage } from "../../src/soci/convert-image.ts";
import { LayoutSink } from "../../src/soci/layout-sink.ts";
import { openLocalStore } from "../../src/soci/local-store.ts";
import { localZtocFactory } from "../../src/ztoc/build-ztoc.ts";
import { rejectionOf } from "../support/failure.ts";
import { buildImage, buildIndex, buildTar, writeLayout } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const buildZtoc = localZtocFactory({ engine: () => new PakoEngine() });
const AMD64 = { os: "linux", architecture: "amd64" };
const image = await buildImage({
  layers: [{ entries: [{ name: "a", content: sampleBytes(200_000, 1) }] }],
});

async function convert(temp: TempDir, from: string, to: string): Promise<Descriptor> {
  await using source = await openImageSource(from);
  await using destination = await openImageDestination(parseSourceName(to), { cwd: temp.path });
  await using sink = await LayoutSink.open(temp.join("sink"));
  const { descriptor } = await convertImage({
    source,
    destination,
    sink,
    platforms: "all",
    isListed: false,
    buildZtoc,
    parallel: 2,
    minLayerSize: 0,
  });
  return descriptor;
}

/** A layout whose image is an index of these entries. */
async function writeIndex(
  path: string,
  entries: readonly Descriptor[],
  name?: Descriptor["digest"],
): Promise<Descriptor> {
  await using layout = await LayoutWriter.open(path);
  const document = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries };
  const bytes = Buffer.from(JSON.stringify(document));
  const descriptor = await layout.putBytes(OCI_INDEX, bytes);
  const digest = name ?? descriptor.digest;
  if (name !== undefined) await writeFile(layout.blobPath(digest), bytes);
  await layout.setIndex({ ...descriptor, digest });
  return { ...descriptor, digest };
}

describe("convertImage()", () => {
  test("copies image indexes that an index lists, with all below them", async () => {
    await using temp = await tempDir();
    const inner = buildIndex([
      { image: await buildImage({ layers: [{ entries: [{ name: "x" }] }] }) },
    ]);
    await writeLayout(temp.join("in"), { image: inner });
    await writeLayout(temp.join("in"), { image });
    await writeIndex(temp.join("in"), [{ ...image.descriptor, platform: AMD64 }, inner.descriptor]);
    const root = await convert(temp, `oci:${temp.join("in")}`, `oci:${temp.join("out")}`);
    await using layout = await LayoutWriter.open(temp.join("out"));
    expect(parseImageIndex(await layout.readBlob(root.digest)).manifests[1]).toEqual(
      inner.descriptor,
    );
    for (const one of inner.images) {
      for (const { descriptor } of [one, one.config, ...one.layers]) {
        expect(await layout.hasBlob(descriptor.digest)).toBe(true);
      }
    }
  });

  test("refuses image indexes that nest without an end", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image });
    let inner = await writeIndex(temp.join("in"), [image.descriptor]);
    for (let depth = 0; depth < 8; depth++) {
      inner = await writeIndex(temp.join("in"), [image.descriptor, inner]);
    }
    const work = convert(temp, `oci:${temp.join("in")}`, `oci:${temp.join("out")}`);
    expect(await rejectionOf(work)).toMatchObject({ kind: "data-loss" });
  });

  test("refuses an image index that lists itself", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image });
    const digest = digestOf("itself");
    const itself = { mediaType: OCI_INDEX, digest, size: 500 };
    await writeIndex(temp.join("in"), [image.descriptor, itself], digest);
    const work = convert(temp, `oci:${temp.join("in")}`, `oci:${temp.join("out")}`);
    expect(await rejectionOf(work)).toMatchObject({ kind: "data-loss" });
  });

  test("takes an archive's members for keys: none leads outside, of equal names the last counts", async () => {
    await using temp = await tempDir();
    const entry = { ...image.descriptor };
    const index = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry] });
    const blobs = [image.config, ...image.layers, { bytes: image.manifest }].map(({ bytes }) => ({
      name: `blobs/sha256/${hexOf(digestOf(bytes))}`,
      content: bytes,
    }));
    const tar = await buildTar([
      { name: "../../escaped", content: "outside" },
      { name: "/etc/passwd", content: "outside" },
      { name: "index.json", content: "{}" },
      ...blobs.map(({ name }) => ({ name, content: "an older one" })),
      ...blobs,
      { name: "./index.json", content: index },
      { name: "oci-layout", content: '{"imageLayoutVersion":"1.0.0"}' },
    ]);
    await writeFile(temp.join("in.tar"), tar);
    await convert(temp, `oci-archive:${temp.join("in.tar")}`, `oci:${temp.join("out")}`);
    expect(existsSync(join(temp.path, "..", "..", "escaped"))).toBe(false);
    expect((await readdir(temp.path)).toSorted()).toEqual(["in.tar", "out", "sink"]);
  });

  test("refuses an archive whose last blob of a name is another one", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image });
    const layer = image.layers[0]?.descriptor.digest ?? image.descriptor.digest;
    Bun.spawnSync(["tar", "-C", temp.join("in"), "-cf", temp.join("in.tar"), "."]);
    await using layout = await LayoutWriter.open(temp.join("in"));
    await writeFile(layout.blobPath(layer), "another one");
    const member = `./blobs/sha256/${hexOf(layer)}`;
    Bun.spawnSync(["tar", "-C", temp.join("in"), "-rf", temp.join("in.tar"), member]);
    const work = convert(temp, `oci-archive:${temp.join("in.tar")}`, `oci:${temp.join("out")}`);
    expect(await rejectionOf(work)).toMatchObject({ kind: "data-loss" });
  });

  const isRoot = process.geteuid?.() === 0;
  test.skipIf(!isRoot)(
    `leaves no part of an archive on a full disk${isRoot ? "" : " (needs root)"}`,
    async () => {
      await using temp = await tempDir();
      await writeLayout(temp.join("in"), { image });
      await using disk = await tempDir();
      const mount = ["mount", "-t", "tmpfs", "-o", "size=65536", "tmpfs", disk.path];
      expect(Bun.spawnSync(mount).exitCode).toBe(0);
      try {
        const from = `oci:${temp.join("in")}`;
        const work = convert(temp, from, `oci-archive:${disk.join("out.tar")}`);
        expect(await rejectionOf(work)).toMatchObject({ code: "ENOSPC" });
        expect(await readdir(disk.path)).toEqual([]);
      } finally {
        Bun.spawnSync(["umount", "-l", disk.path]);
      }
    },
  );

  test("killed at any moment leaves a layout and a store that open, and no index without its parts", async () => {
    await using temp = await tempDir();
    await writeLayout(temp.join("in"), { image });
    for (let round = 0; round < 6; round++) {
      const argv = ["in", "out", "root"].map((name) => temp.join(name));
      const main = join(import.meta.dir, "convert-main.ts");
      const child = Bun.spawn([process.execPath, main, ...argv], {
        stdout: "pipe",
        stderr: "inherit",
      });
      await child.stdout.getReader().read();
      await Bun.sleep(20 + Math.random() * 150);
      child.kill("SIGKILL");
      await child.exited;
      await using store = await openLocalStore({ root: temp.join("root") });
      await using layout = await LayoutWriter.open(temp.join("out"));
      for (const { digest, size } of store.artifacts.listAll()) {
        expect(await store.content.blobSize(digest)).toBe(size);
      }
      for (const root of (await layout.readIndex()).manifests) {
        for (const { digest } of parseImageIndex(await layout.readBlob(root.digest)).manifests) {
          expect(await layout.hasBlob(digest)).toBe(true);
        }
      }
    }
  }, 60_000);
});
