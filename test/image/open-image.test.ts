import { describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { streamLayer } from "../../src/image/stream-layer.ts";
import { digestOf, parseDigest } from "../../src/oci/digest.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { parsePlatform } from "../../src/oci/platform.ts";
import { INDEX_DIGEST_ANNOTATION } from "../../src/soci/annotations.ts";
import { buildSociIndex } from "../../src/soci/build-soci-index.ts";
import { encodeSociIndex } from "../../src/soci/soci-index.ts";
import type { ByteName } from "../../src/tree/byte-name.ts";
import { buildImage, buildIndex, buildTar, imageOf, layerOf } from "../support/image-builder.ts";
import { buildZtoc, ztocOf } from "../support/indexed-layer.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { addIndex } from "./add-index.ts";
import { openPlaced, placeImage } from "./opened-image.ts";

const content = sampleBytes(400_000);
const image = await buildImage({
  layers: [
    {
      entries: [
        { name: "a", content },
        { name: "gone", content: "x" },
      ],
    },
    {
      entries: [
        { name: ".wh.gone", content: "" },
        { name: "b", type: "symlink", linkname: "a" },
      ],
    },
  ],
});

function names({ tree }: { readonly tree: Awaited<ReturnType<typeof openPlaced>>["tree"] }) {
  return [...tree.list(tree.root)].map(({ name }) => name as string);
}

describe("openImage()", () => {
  test("finds the index among the referrers and fetches zTOCs, no layers", async () => {
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image);
    await using opened = await openPlaced(placed.name);
    expect(opened.index?.from).toBe("referrers");
    expect(opened.layers.map(({ from }) => from)).toEqual(["index", "index"]);
    const layers = image.layers.map(({ descriptor }) => descriptor.digest as string);
    const asked = placed.registry.requests.map(({ path }) => path.split("/").at(-1) ?? "");
    expect(asked.filter((name) => layers.includes(name))).toEqual([]);
  });

  test("merges the layers and reads through links", async () => {
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image);
    await using opened = await openPlaced(placed.name);
    expect(names(opened)).toEqual(["a", "b"]);
    expect(await opened.read("/b")).toEqual(content);
  });

  test("shows the same files without an index, and says that layers are streamed", async () => {
    await using placed = await placeImage(image);
    const streamed: unknown[] = [];
    await using opened = await openPlaced(placed.name, {
      onStreamed: (layers, isIndexed) => streamed.push([layers.length, isIndexed]),
    });
    expect(names(opened)).toEqual(["a", "b"]);
    expect(streamed).toEqual([[2, false]]);
    expect(opened.index).toBeUndefined();
  });

  test("streams a layer that the index leaves out", async () => {
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image, { only: [0] });
    await using opened = await openPlaced(placed.name);
    expect(opened.layers.map(({ from }) => from)).toEqual(["index", "streamed"]);
    expect(names(opened)).toEqual(["a", "b"]);
  });

  test.each([
    { title: "is missing", options: { withoutBlobs: true } },
    { title: "is cut off", options: { change: (ztoc: Buffer) => ztoc.subarray(0, 500) } },
    { title: "is of another layer", options: { change: () => otherZtoc } },
    { title: "is noise", options: { change: () => randomBytes(1000) } },
  ])("streams a layer whose zTOC $title, with a warning", async ({ options }) => {
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image, options);
    await using opened = await openPlaced(placed.name);
    expect(opened.layers.map(({ from }) => from)).toEqual(["streamed", "streamed"]);
    expect(opened.records.map(({ message }) => message)).toEqual([
      "layer is not lazy",
      "layer is not lazy",
    ]);
    expect(await opened.read("/a")).toEqual(content);
  });

  test("uses the v2 index that the manifest names", async () => {
    const { layers } = image;
    const ztocs = [];
    for (const { bytes, descriptor } of layers) {
      const ztoc = (await ztocOf(bytes)).bytes;
      const { length: size } = ztoc;
      ztocs.push({ ztoc, digest: digestOf(ztoc), size, layer: descriptor });
    }
    const index = encodeSociIndex(
      buildSociIndex(
        ztocs.map((ztoc) => ({ ...ztoc, spanSize: 65_536, disableXattrs: false })),
        { version: "v2", imageManifest: image.descriptor },
      ),
    );
    const annotations = { [INDEX_DIGEST_ANNOTATION]: digestOf(index) };
    await using placed = await placeImage(imageOf(layers, { annotations }));
    for (const { ztoc } of ztocs) await placed.registry.addBlob("app", ztoc);
    placed.registry.addManifest("app", { mediaType: OCI_MANIFEST, bytes: index });
    await using opened = await openPlaced(placed.name);
    expect(opened.index?.from).toBe("v2-annotation");
    expect(opened.layers.map(({ from }) => from)).toEqual(["index", "index"]);
  });

  test("uses the index that is named, whatever else there is", async () => {
    await using placed = await placeImage(image);
    const bytes = await addIndex(placed.registry, image, { only: [1] });
    await using opened = await openPlaced(placed.name, { index: { digest: digestOf(bytes) } });
    expect(opened.index?.from).toBe("explicit");
  });

  test("throws not-found for a named index that is not there", async () => {
    await using placed = await placeImage(image);
    const digest = parseDigest(`sha256:${"0".repeat(64)}`);
    await expect(openPlaced(placed.name, { index: { digest } })).rejects.toMatchObject({
      kind: "not-found",
    });
  });

  test("opens the platform that is asked for", async () => {
    const other = await buildImage({
      layers: [{ entries: [{ name: "arm", content: "1" }] }],
      platform: { os: "linux", architecture: "arm64" },
    });
    const index = buildIndex([
      { image, platform: { os: "linux", architecture: "amd64" } },
      { image: other, platform: { os: "linux", architecture: "arm64" } },
    ]);
    await using placed = await placeImage(index);
    await using opened = await openPlaced(placed.name, { platform: parsePlatform("linux/arm64") });
    expect(names(opened)).toEqual(["arm"]);
  });

  test("refuses a layer whose bytes are not those of its digest", async () => {
    await using placed = await placeImage(image);
    placed.registry.corruptNext(100, { at: 100, path: /blobs/ });
    await expect(openPlaced(placed.name)).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("throws the signal's reason", async () => {
    await using placed = await placeImage(image);
    const reason = new Error("enough");
    await expect(openPlaced(placed.name, { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
  });
});

const otherZtoc = Buffer.from(
  (await ztocOf(layerOf(await buildTar([{ name: "other", content: "1" }])).bytes)).bytes,
);

const LAYERS = join(import.meta.dirname, "../fixtures/golden/layers");

describe("streamLayer()", () => {
  // What zTOCs cannot hold, and unpackers take: against what GNU tar makes of it.
  test.each([
    { title: "GNU sparse files", file: "c-gnutar-sparse-gnu.tar.gz" },
    { title: "pax sparse files, 0.0", file: "c-gnutar-sparse-posix-0.0.tar.gz" },
    { title: "pax sparse files, 0.1", file: "c-gnutar-sparse-posix-0.1.tar.gz" },
    { title: "pax sparse files, 1.0", file: "c-gnutar-sparse-posix-1.0.tar.gz" },
    { title: "contiguous files", file: "c-type-37.tar.gz" },
    { title: "global pax headers", file: "c-pax-global.tar.gz" },
  ])("takes $title as GNU tar does", async ({ file }) => {
    const bytes = await readFile(join(LAYERS, file));
    const layer = { ...layerOf(new Uint8Array(0)), bytes };
    const descriptor = { ...layer.descriptor, digest: digestOf(bytes), size: bytes.length };
    await using placed = await placeImage(imageOf([{ ...layer, descriptor }]));
    await using opened = await openPlaced(placed.name);
    const { tree } = opened;
    const files = [...tree.list(tree.root)].filter(({ node }) => tree.content(node) !== undefined);
    expect(files.length).toBeGreaterThan(0);
    for (const { name } of files) {
      expect(digestOf(await opened.read(name))).toBe(digestOf(await untar(bytes, name)));
    }
  });
});

test("streamLayer() refuses a layer whose list of files takes more memory than it may", async () => {
  const tar = await buildTar(["a", "b", "c"].map((name) => ({ name, content: "1" })));
  const layer = layerOf(tar, "zstd");
  await using placed = await placeImage(imageOf([layer]));
  await using source = await openImageSource(placed.name);
  const engine = () => new WasmEngine();
  const stream = (maxListBytes: number) =>
    streamLayer(layer.descriptor, { source, buildZtoc, engine, maxListBytes });
  await expect(stream(3 * 512)).rejects.toMatchObject({ kind: "data-loss" });
  expect((await stream(4 * 512)).files).toHaveLength(3);
});

/** A file of a tar, holes as zeros. */
async function untar(layer: Uint8Array, name: ByteName): Promise<Uint8Array> {
  const tar = Bun.spawn(["tar", "-xzOf", "-", name], { stdio: [layer, "pipe", "ignore"] });
  return await new Response(tar.stdout).bytes();
}
