import type { WaitOptions } from "../../async/wait-options.ts";
import { SociError } from "../../errors.ts";
import type { Platform } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import type { ImageSource } from "../../oci/image-source.ts";
import { parseManifest } from "../../oci/manifest.ts";
import { isConfigType, isIndexType } from "../../oci/media-types.ts";
import { formatPlatform, platformRank } from "../../oci/platform.ts";

/** The digests of an image's manifests for some platforms, or for all there are; the manifests themselves need not be there. A single manifest is for every platform. @throws not-found, in the Go tool's words */
export async function listSociManifests(
  source: ImageSource,
  { platforms, signal }: WaitOptions & { readonly platforms: readonly Platform[] | undefined },
): Promise<readonly Digest[]> {
  const root = await source.root({ signal });
  if (!isIndexType(root.mediaType)) return [root.digest];
  const bytes = await source.manifest(root, { signal });
  const { mediaType, digest } = root;
  const parsed = parseManifest(bytes, { mediaType, what: `image index ${digest}` });
  const entries =
    parsed.kind === "index"
      ? parsed.manifests.filter(
          ({ artifactType, platform }) =>
            (artifactType === undefined || isConfigType(artifactType)) &&
            platform?.os !== "unknown",
        )
      : [];
  if (platforms === undefined) return entries.map((entry) => entry.digest);
  return platforms.flatMap((wanted) => {
    const found = entries.filter(
      ({ platform }) =>
        platform !== undefined && platformRank(wanted, platform, { strict: true }) !== undefined,
    );
    if (found.length > 0) return found.map((entry) => entry.digest);
    throw new SociError(
      "not-found",
      `image manifest for platform ${formatPlatform(wanted)}: not found`,
    );
  });
}
