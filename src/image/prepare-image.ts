import { ImagePreparation } from "./image-preparation.ts";
import type { PrepareImageOptions } from "./preparation-options.ts";
import type { PreparedImage } from "./prepared-image.ts";

/**
 * Gets one platform of an image ready for mounting: all layers in the cache, with their tables and as
 * much of their data as there is, and the merged tree on disk. When all of it is there already,
 * nothing but the manifest is asked of the network and nothing is decoded.
 * @throws not-found, data-loss, unavailable, failed-precondition …
 */
export async function prepareImage(options: PrepareImageOptions): Promise<PreparedImage> {
  await using preparation = ImagePreparation.start(options);
  return await preparation.handOver();
}
