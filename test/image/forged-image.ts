import { SpanScheduler } from "../../src/fetch/span-scheduler.ts";
import { createLogger } from "../../src/observability/log.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { InflatePool } from "../../src/threads/inflate-pool.ts";
import { spawnInflateWorker } from "../../src/workers.ts";
import { memoryBlobs } from "../support/blob-store.ts";
import { addImage, type BuiltImage, layerOf } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import { addIndex } from "./add-index.ts";
import type { PlacedImage } from "./opened-image.ts";
import type { Prepared } from "./prepared-image.ts";

/** The lowest layer of an image with other bytes in its file, as long as they. */
export function forgeryOf({ layers }: BuiltImage): Uint8Array<ArrayBuffer> {
  const [lowest] = layers;
  if (lowest === undefined || lowest.bytes.length !== lowest.tar.length) {
    throw new Error("only a tar that is not compressed is forged so");
  }
  const forged = new Uint8Array(lowest.tar);
  // Behind the first header, before the end blocks.
  for (let at = 512; at < 100_000; at++) forged[at] = (forged[at] ?? 0) ^ 0x55;
  return forged;
}

/**
 * A registry that has an image, gives other bytes for the lowest layer of it, and beside it an index
 * whose zTOC vouches for these.
 */
export async function placeForged(image: BuiltImage): Promise<PlacedImage> {
  const forged = forgeryOf(image);
  const [lowest] = image.layers;
  const blobs = memoryBlobs();
  const registry = TestRegistry.start(
    {},
    {
      ...blobs,
      get: async (digest) =>
        digest === lowest?.descriptor.digest ? new Blob([forged]) : await blobs.get(digest),
    },
  );
  await addImage(registry, "app", { image, tag: "v1" });
  const layers = image.layers.map((layer) =>
    layer === lowest ? { ...layer, bytes: layerOf(forged, "none").bytes } : layer,
  );
  await addIndex(registry, { ...image, layers });
  return {
    registry,
    name: `${registry.host}/app:v1`,
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  };
}

/** The bytes of the lowest layer, fetched as a reader of the image would. */
export async function lowestOf(prepared: Prepared, name: string): Promise<Buffer> {
  const [lowest] = prepared.layers;
  if (lowest === undefined) throw new Error("the image has no layers");
  const { cache } = prepared;
  const log = createLogger({ sink: () => undefined });
  await using source = await openImageSource(name);
  await using filler = new InflatePool({ spawn: spawnInflateWorker, count: 1 });
  await using scheduler = new SpanScheduler({ filler, cache, log, deadlineMs: 20_000 });
  scheduler.addLayer({ id: 1, ...lowest, source });
  await scheduler.want(1, 0, lowest.layer.geometry.uncompressedSize);
  const data = prepared.data(0);
  if (data === undefined) throw new Error("some of the layer is missing");
  return data;
}
