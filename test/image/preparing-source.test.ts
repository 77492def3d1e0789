import { describe, expect, test } from "bun:test";
import { PreparingSource } from "../../src/image/preparing-source.ts";
import type { ImageSource } from "../../src/oci/image-source.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { SOCI_INDEX_V1 } from "../../src/soci/annotations.ts";
import { rejectionOf } from "../support/failure.ts";
import { buildImage } from "../support/image-builder.ts";
import { placeImage } from "./opened-image.ts";

const image = await buildImage({ layers: [{ entries: [{ name: "a", content: "1" }] }] });

function preparing(source: ImageSource, known = new Map<string, Uint8Array>()): PreparingSource {
  return new PreparingSource({ source, manifests: { read: (digest) => known.get(digest) } });
}

describe("PreparingSource", () => {
  test("asks once for what is asked ahead and wanted later", async () => {
    await using placed = await placeImage(image);
    await using source = await openImageSource(placed.name);
    await using ahead = preparing(source);
    ahead.ask(image.descriptor.digest, SOCI_INDEX_V1);
    ahead.ask(image.descriptor.digest, SOCI_INDEX_V1);
    expect(await ahead.referrers(image.descriptor.digest, SOCI_INDEX_V1)).toEqual([]);
    const asked = placed.registry.requests.filter(({ path }) => path.includes("/referrers/"));
    expect(asked).toHaveLength(1);
  });

  test("hands on a failure to who wants the answer, and to nobody else", async () => {
    await using placed = await placeImage(image);
    await using source = await openImageSource(placed.name);
    placed.registry.failNext(100, { status: 403, path: /referrers/ });
    await using ahead = preparing(source);
    ahead.ask(image.descriptor.digest, SOCI_INDEX_V1);
    await expect(ahead.referrers(image.descriptor.digest, SOCI_INDEX_V1)).rejects.toMatchObject({
      kind: "permission-denied",
    });
  });

  test("abandons on disposal what nobody wanted", async () => {
    await using placed = await placeImage(image);
    await using source = await openImageSource(placed.name);
    const ahead = preparing(source);
    ahead.ask(image.descriptor.digest, SOCI_INDEX_V1);
    await ahead[Symbol.asyncDispose]();
    ahead.ask(image.descriptor.digest, "application/other");
    await source.root();
    expect(placed.registry.requests.filter(({ path }) => path.includes("other"))).toEqual([]);
  });

  test("asks for no manifest that is remembered, and for one that is not of that size", async () => {
    await using placed = await placeImage(image);
    await using source = await openImageSource(placed.name);
    const { descriptor, manifest } = image;
    await using known = preparing(source, new Map([[descriptor.digest, manifest]]));
    expect(await known.manifest(descriptor)).toEqual(manifest);
    expect(placed.registry.requests).toEqual([]);
    const other = { ...descriptor, size: descriptor.size + 1 };
    expect(await rejectionOf(known.manifest(other))).toMatchObject({ kind: "data-loss" });
  });

  test("knows its root without a request when the manifest is near, and asks for it once", async () => {
    await using placed = await placeImage(image);
    await using source = await openImageSource(placed.name);
    const { digest } = image.descriptor;
    const asked: string[] = [];
    await using near = new PreparingSource({
      source,
      manifests: { read: () => undefined },
      rootDigest: digest,
      near: async (wanted) => {
        asked.push(wanted);
        return image.manifest;
      },
    });
    expect(await near.root()).toEqual(image.descriptor);
    expect(await near.manifest(image.descriptor)).toEqual(image.manifest);
    expect(asked).toEqual([digest]);
    expect(placed.registry.requests).toEqual([]);
  });

  test("asks for the manifest whose digest is told, whatever the name stands for by now", async () => {
    await using placed = await placeImage(image);
    await using source = await openImageSource(placed.name.replace(":v1", ":moved"));
    await using told = new PreparingSource({
      source,
      manifests: { read: () => undefined },
      rootDigest: image.descriptor.digest,
    });
    expect(await told.root()).toEqual(image.descriptor);
  });
});
