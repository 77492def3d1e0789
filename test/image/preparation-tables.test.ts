import { describe, test } from "bun:test";
import { cacheRootOf } from "../../src/cache/cache-paths.ts";
import { LayerTables } from "../../src/image/layer-tables.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { tempDir } from "../support/temp-dir.ts";
import { placeImage } from "./opened-image.ts";
import { image } from "./prepare-samples.ts";
import { startPreparation } from "./started-preparation.ts";

describe("ImagePreparation's thread of tables", () => {
  test.each([
    { title: "are there", options: {} },
    { title: "are refused", options: { onMissingIndex: "refuse" as const } },
    { title: "cannot be had", options: { manifestDigest: digestOf("another") } },
  ])("ends when all layers $title, not with the preparation", async ({ options }) => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const ended = Promise.withResolvers<void>();
    const startTables = () => {
      const tables = new LayerTables({ cacheRoot: cacheRootOf(root.path) });
      const end = tables[Symbol.asyncDispose].bind(tables);
      return Object.assign(tables, {
        [Symbol.asyncDispose]: async () => {
          ended.resolve();
          await end();
        },
      });
    };
    await using _started = await startPreparation(root.path, placed.name, {
      ...options,
      startTables,
    });
    await ended.promise;
  });
});
