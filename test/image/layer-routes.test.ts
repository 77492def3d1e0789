import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { Semaphore } from "../../src/async/semaphore.ts";
import type { LayerIngester } from "../../src/image/layer-ingester.ts";
import type { LayerRefusal } from "../../src/image/layer-outcome.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { INDEX_DIGEST_ANNOTATION } from "../../src/soci/annotations.ts";
import { rejectionOf } from "../support/failure.ts";
import { addImage, imageOf } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { addIndex } from "./add-index.ts";
import { placeImage } from "./opened-image.ts";
import { image, three } from "./prepare-samples.ts";
import { startPreparation } from "./started-preparation.ts";

const NO_MODES = { v1: false, v2: false, local: false };

describe("ImagePreparation.layer()", () => {
  test("refuses an image without an index, and downloads nothing of it", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await using started = await startPreparation(root.path, placed.name, {
      onMissingIndex: "refuse",
    });
    expect(await started.outcomes(image.layers)).toEqual(["no-index", "no-index"]);
    expect(await started.preparation.index()).toBeUndefined();
    expect(placed.registry.requests.filter(({ path }) => path.includes("/blobs/"))).toEqual([]);
  });

  test("says that the registry is to blame when nobody knows whether there is an index", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    placed.registry.failNext(100, { status: 403, path: /referrers|sha256-/ });
    await using started = await startPreparation(root.path, placed.name, {
      onMissingIndex: "refuse",
    });
    expect(await started.outcomes(image.layers)).toEqual(["registry", "registry"]);
  });

  test("refuses all layers while all modes are off, and asks for no referrers", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image);
    await using started = await startPreparation(root.path, placed.name, { modes: NO_MODES });
    expect(await started.outcomes(image.layers)).toEqual(["modes-disabled", "modes-disabled"]);
    expect(placed.registry.requests).toHaveLength(1);
  });

  test("uses an explicit index while all modes are off", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const digest = digestOf(await addIndex(placed.registry, image));
    await using started = await startPreparation(root.path, placed.name, {
      modes: NO_MODES,
      index: { digest },
      onMissingIndex: "refuse",
    });
    expect(await started.outcomes(image.layers)).toEqual(["index", "index"]);
    expect((await started.preparation.index())?.from).toBe("explicit");
    expect(started.records.map(({ message }) => message)).toContain(
      "using provided soci index digest",
    );
  });

  test("refuses all layers when an explicit index cannot be had", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await using started = await startPreparation(root.path, placed.name, {
      index: { digest: digestOf("none") },
    });
    expect(await started.outcomes(image.layers)).toEqual(["registry", "registry"]);
    expect(await rejectionOf(started.preparation.index())).toMatchObject({ kind: "not-found" });
    expect(await started.preparation.prefetch()).toEqual([]);
  });

  const OUTSIDE: readonly {
    readonly title: string;
    readonly outsideIndex: "stream" | "refuse";
    readonly want: readonly (LayerRefusal | "streamed")[];
  }[] = [
    { title: "whole", outsideIndex: "stream", want: ["streamed", "streamed"] },
    { title: "not at all", outsideIndex: "refuse", want: ["no-ztoc", "no-ztoc"] },
  ];

  test.each(OUTSIDE)("takes layers $title by the index of another image", async (row) => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const digest = digestOf(await addIndex(placed.registry, three));
    const { outsideIndex } = row;
    await using started = await startPreparation(root.path, placed.name, {
      index: { digest },
      onMissingIndex: "refuse",
      outsideIndex,
    });
    expect(await started.outcomes(image.layers)).toEqual([...row.want]);
  });

  test.each(OUTSIDE)(
    "takes layers $title whose zTOCs are noise",
    async ({ outsideIndex, want }) => {
      await using root = await tempDir();
      await using placed = await placeImage(image);
      await addIndex(placed.registry, image, { change: () => randomBytes(1000) });
      await using started = await startPreparation(root.path, placed.name, { outsideIndex });
      expect(await started.outcomes(image.layers)).toEqual([...want]);
    },
  );

  test("takes a layer whole whose zTOC is of another layer", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    let first: Buffer | undefined;
    await addIndex(placed.registry, image, {
      change: (ztoc) => {
        first ??= ztoc;
        return first;
      },
    });
    await using started = await startPreparation(root.path, placed.name);
    expect(await started.outcomes(image.layers)).toEqual(["index", "streamed"]);
  });

  test("looks for no index when all is to be read whole", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image);
    await using started = await startPreparation(root.path, placed.name, {
      wholeOnly: true,
      modes: NO_MODES,
      onMissingIndex: "refuse",
    });
    expect(await started.outcomes(image.layers)).toEqual(["streamed", "streamed"]);
    expect(placed.registry.requests.some(({ path }) => path.includes("referrers"))).toBe(false);
  });

  test("prefers the index that the manifest names, and asks the store for none when that is off", async () => {
    await using root = await tempDir();
    await using registry = TestRegistry.start();
    const digest = digestOf(await addIndex(registry, image, { version: "v2" }));
    const annotated = imageOf(image.layers, { annotations: { [INDEX_DIGEST_ANNOTATION]: digest } });
    await addIndex(registry, annotated);
    await addImage(registry, "app", { image: annotated, tag: "v1" });
    await using started = await startPreparation(root.path, `${registry.host}/app:v1`);
    expect(await started.outcomes(image.layers)).toEqual(["index", "index"]);
    expect((await started.preparation.index())?.from).toBe("v2-annotation");
  });

  test.each([
    { title: "of an image", limits: { perImage: 1 }, most: 1 },
    { title: "of all images", limits: { downloads: new Semaphore(2) }, most: 2 },
    { title: "of neither", limits: {}, most: 3 },
  ])("downloads no more layers at once than the limit $title", async ({ limits, most }) => {
    await using root = await tempDir();
    await using placed = await placeImage(three);
    let running = 0;
    let peak = 0;
    const around =
      (ingest: LayerIngester): LayerIngester =>
      async (source, request, use) => {
        running++;
        peak = Math.max(peak, running);
        // Others that may would have begun by then.
        await Bun.sleep(20);
        try {
          return await ingest(source, request, use);
        } finally {
          running--;
        }
      };
    await using started = await startPreparation(root.path, placed.name, { around, limits });
    expect(await started.outcomes(three.layers)).toEqual(["streamed", "streamed", "streamed"]);
    expect(peak).toBe(most);
  });
});
