import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { digestOf } from "../../src/oci/digest.ts";
import { buildImage, buildTar, imageOf, layerOf } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { openPlaced, placeImage } from "./opened-image.ts";

const big = sampleBytes(2_500_000, 1);
const small = sampleBytes(300, 2);
const entries = [
  { name: "big", content: big },
  { name: "empty", content: "" },
  { name: "small", content: small },
];

describe("FileReader", () => {
  test.each(["gzip", "none", "zstd"] as const)(
    "reads files of a layer without index, compression %s",
    async (compression) => {
      await using placed = await placeImage(
        await buildImage({ layers: [{ entries, compression }] }),
      );
      await using opened = await openPlaced(placed.name);
      expect(await opened.read("/big")).toEqual(big);
      expect(await opened.read("/small")).toEqual(small);
      expect(await opened.read("/empty")).toHaveLength(0);
    },
  );

  test("asks for nothing to read an empty file", async () => {
    const image = await buildImage({ layers: [{ entries, compression: "zstd" }] });
    await using placed = await placeImage(image);
    await using opened = await openPlaced(placed.name);
    placed.registry.clearRequests();
    await opened.read("/empty");
    expect(placed.registry.requests).toEqual([]);
  });

  test("reads by ranges what it has streamed once, where spans are to be had", async () => {
    const image = await buildImage({ layers: [{ entries }] });
    await using placed = await placeImage(image);
    await using opened = await openPlaced(placed.name);
    placed.registry.clearRequests();
    await opened.read("/small");
    expect(placed.registry.requests).toMatchObject([{ status: 206 }]);
  });

  test("gives no byte of a streamed layer that is not what it was", async () => {
    // Random bytes are stored as they are: one that is flipped shows in the content alone.
    const noise = randomBytes(65_536);
    const tar = await buildTar([
      { name: "noise", content: noise },
      { name: "rest", content: randomBytes(8 << 20) },
    ]);
    const layer = layerOf(tar, "zstd");
    await using placed = await placeImage(imageOf([layer]));
    await using opened = await openPlaced(placed.name);
    expect(await opened.read("/noise")).toEqual(noise);
    placed.registry.corruptNext(100, { at: 30_000, path: /blobs/ });
    await expect(opened.read("/noise")).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("ends when a zstd layer turns out to be damaged at its end", async () => {
    const layer = layerOf(await buildTar([{ name: "a", content: randomBytes(4 << 20) }]), "zstd");
    await using placed = await placeImage(imageOf([layer]));
    placed.registry.corruptNext(100, { at: 2 << 20, path: /blobs/ });
    await expect(openPlaced(placed.name)).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("ends when a zstd layer cannot be had again", async () => {
    const image = await buildImage({ layers: [{ entries, compression: "zstd" }] });
    await using placed = await placeImage(image);
    await using opened = await openPlaced(placed.name);
    placed.registry.failNext(100, { status: 404, path: /blobs/ });
    await expect(opened.read("/big")).rejects.toMatchObject({ kind: "not-found" });
  });

  test("reads a zstd layer of several frames", async () => {
    const tar = await buildTar(entries);
    const half = Math.floor(tar.length / 2);
    const bytes = Buffer.concat([
      zstdCompressSync(tar.subarray(0, half)),
      zstdCompressSync(tar.subarray(half)),
    ]);
    const whole = layerOf(tar, "zstd");
    const descriptor = { ...whole.descriptor, digest: digestOf(bytes), size: bytes.length };
    await using placed = await placeImage(imageOf([{ ...whole, bytes, descriptor }]));
    await using opened = await openPlaced(placed.name);
    expect(await opened.read("/big")).toEqual(big);
  });
});
