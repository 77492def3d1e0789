import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { hexOf } from "../../src/oci/digest.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { selectImages } from "../../src/oci/select-images.ts";
import { createIndex, type CreateIndexOptions } from "../../src/soci/create-index.ts";
import type { LayerOutcome } from "../../src/soci/index-layers.ts";
import { type LocalStore, openLocalStore } from "../../src/soci/local-store.ts";
import { localZtocFactory } from "../../src/ztoc/build-ztoc.ts";
import type { BuiltLayer } from "../support/image-builder.ts";
import { buildLayer, buildTar, imageOf, layerOf, writeLayout } from "../support/image-builder.ts";
import { tempDir } from "../support/temp-dir.ts";

const buildZtoc = localZtocFactory({ engine: () => new PakoEngine() });

async function withImage<T>(
  layers: readonly BuiltLayer[],
  use: (
    index: (options?: Partial<CreateIndexOptions>) => Promise<readonly LayerOutcome[]>,
    at: { readonly store: LocalStore; readonly layout: string },
  ) => Promise<T>,
): Promise<T> {
  await using directory = await tempDir();
  const layout = join(directory.path, "layout");
  await writeLayout(layout, { image: imageOf(layers) });
  await using store = await openLocalStore({ root: join(directory.path, "root") });
  await using source = await openImageSource(`oci:${layout}`);
  const [image] = await selectImages(source, undefined);
  if (image === undefined) throw new Error("the image has no manifest");
  const common = { source, sink: store, buildZtoc, parallel: 2, minLayerSize: 0 };
  return await use(
    async (options = {}) => (await createIndex(image, { ...common, ...options })).layers,
    { store, layout },
  );
}

const one = await buildLayer({ entries: [{ name: "one", content: "first" }] });
const two = await buildLayer({ entries: [{ name: "two", content: "second" }] });
const zstd = await buildLayer({ entries: [{ name: "three", content: "z" }], compression: "zstd" });

describe("createIndex()", () => {
  test("builds a zTOC for each layer, in the order of the layers", () =>
    withImage([one, two], async (index) => {
      const layers = await index();
      expect(layers.map(({ status, layer }) => [status, layer.digest])).toEqual([
        ["built", one.descriptor.digest],
        ["built", two.descriptor.digest],
      ]);
    }));

  test("takes zTOCs that the store has, unless forced", () =>
    withImage([one], async (index) => {
      const [built] = await index();
      expect(await index()).toMatchObject([{ ...built, status: "reused" }]);
      expect(await index({ force: true })).toMatchObject([{ status: "built" }]);
      expect(await index({ spanSize: 65_536 })).toMatchObject([{ status: "built" }]);
    }));

  test("builds anew where the store's zTOC is damaged", () =>
    withImage([one], async (index, { store }) => {
      const [built] = await index();
      if (built?.status !== "built") throw new Error("no zTOC was built");
      const path = store.content.blobPath(built.ztoc.digest);
      await writeFile(`${path}`, Buffer.alloc(built.ztoc.size));
      expect(await index()).toMatchObject([{ status: "built", ztoc: built.ztoc }]);
      expect((await store.readZtoc(built.ztoc.digest)).length).toBe(built.ztoc.size);
    }));

  test("leaves a layer out whose zTOC in the store no reader can use", async () => {
    // A directory with data: the reference writes it and cannot load it.
    const tar = Buffer.from(
      await buildTar([
        { name: "a", content: "x".repeat(700) },
        { name: "b", content: "y" },
      ]),
    );
    tar[156] = 0x35;
    tar.fill("\0", 148, 156);
    const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 8 * 32);
    tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    const padded = Buffer.concat([tar.subarray(0, 512), tar.subarray(512 + 1024)]);
    const layer = layerOf(padded);
    await withImage([one, layer], async (index, { store }) => {
      async function* blob() {
        yield layer.bytes;
      }
      const { digest } = layer.descriptor;
      const request = { algorithm: "gzip", spanSize: 4_194_304 } as const;
      await buildZtoc(blob(), request, async (built) => {
        expect(built.unusable).toBeDefined();
        await store.putZtoc(built.chunks(), { layer: digest, spanSize: request.spanSize });
      });
      expect(await index()).toMatchObject([
        { status: "built" },
        { status: "skipped", reason: "unusable" },
      ]);
    });
  });

  test("names layers that cannot be indexed and builds the others", () =>
    withImage(
      [zstd, layerOf(Buffer.from("no tar at all, but long enough to be read as one")), one],
      async (index) => {
        expect(await index()).toMatchObject([
          { status: "skipped", reason: "unsupported-compression" },
          { status: "skipped", reason: "refused" },
          { status: "built" },
        ]);
      },
    ));

  test("throws failed-precondition when no layer has a zTOC", () =>
    withImage([one], async (index) => {
      await expect(index({ minLayerSize: 1e9 })).rejects.toMatchObject({
        kind: "failed-precondition",
      });
    }));

  test("throws data-loss, and blames no layer, when a blob is not what its digest says", () =>
    withImage([one], async (index, { store, layout }) => {
      const { digest, size } = one.descriptor;
      await writeFile(join(layout, "blobs/sha256", hexOf(digest)), Buffer.alloc(size, 1));
      await expect(index()).rejects.toMatchObject({ kind: "data-loss" });
      expect(store.artifacts.listZtocs()).toEqual([]);
    }));

  test("reads a layer once that the image holds twice, and lists it twice", () =>
    withImage([one, two, one], async (index) => {
      const read: string[] = [];
      const layers = await index({
        onRead: ({ digest }) => {
          read.push(digest);
          return { add: () => undefined, end: () => undefined };
        },
      });
      expect(layers).toHaveLength(3);
      expect(read.toSorted()).toEqual([one.descriptor.digest, two.descriptor.digest].toSorted());
    }));

  test("marks layers that need no xattrs with the optimization xattr", async () => {
    const opaque = await buildLayer({ entries: [{ name: "d/.wh..wh..opq", content: "" }] });
    await withImage([one, opaque], async (index) => {
      expect(await index({ optimizations: ["xattr"] })).toMatchObject([
        { ztoc: { disableXattrs: true } },
        { ztoc: { disableXattrs: false } },
      ]);
    });
  });
});
