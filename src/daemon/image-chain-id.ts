import type { WaitOptions } from "../async/wait-options.ts";
import { chainIds } from "../containerd/chain-ids.ts";
import { SociError } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { ImageManifest } from "../oci/manifest.ts";
import { readImageConfig } from "../oci/read-image-config.ts";

/**
 * The chain ID of all layers of an image, as its config says; undefined for an image without any.
 * @throws data-loss when the config does not fit the manifest, and what the source throws
 */
export async function imageChainId(
  source: ImageSource,
  manifest: ImageManifest,
  options: WaitOptions = {},
): Promise<Digest | undefined> {
  const { diffIds } = await readImageConfig(source, manifest, options);
  if (diffIds.length !== manifest.layers.length) {
    throw new SociError(
      "data-loss",
      `Cannot use config ${manifest.config.digest} of "${source.name}": it names ${diffIds.length} diff IDs, want one for each of ${manifest.layers.length} layers`,
    );
  }
  return chainIds(diffIds).at(-1);
}
