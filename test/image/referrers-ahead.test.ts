import { describe, expect, test } from "bun:test";
import { ReferrersAhead } from "../../src/image/referrers-ahead.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { SOCI_INDEX_V1 } from "../../src/soci/annotations.ts";
import { buildImage } from "../support/image-builder.ts";
import { placeImage } from "./opened-image.ts";

const image = await buildImage({ layers: [{ entries: [{ name: "a", content: "1" }] }] });

describe("ReferrersAhead", () => {
  test("asks once for what is asked ahead and wanted later", async () => {
    await using placed = await placeImage(image);
    await using source = await openImageSource(placed.name);
    await using ahead = new ReferrersAhead(source);
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
    await using ahead = new ReferrersAhead(source);
    ahead.ask(image.descriptor.digest, SOCI_INDEX_V1);
    await expect(ahead.referrers(image.descriptor.digest, SOCI_INDEX_V1)).rejects.toMatchObject({
      kind: "permission-denied",
    });
  });

  test("abandons on disposal what nobody wanted", async () => {
    await using placed = await placeImage(image);
    await using source = await openImageSource(placed.name);
    const ahead = new ReferrersAhead(source);
    ahead.ask(image.descriptor.digest, SOCI_INDEX_V1);
    await ahead[Symbol.asyncDispose]();
    ahead.ask(image.descriptor.digest, "application/other");
    await source.root();
    expect(placed.registry.requests.filter(({ path }) => path.includes("other"))).toEqual([]);
  });
});
