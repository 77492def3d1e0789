import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import type { Platform } from "./descriptor.ts";
import type { ImageSource } from "./image-source.ts";
import { formatPlatform, hostPlatform, platformRank } from "./platform.ts";
import type { ResolvedImage } from "./resolve-image.ts";
import { readImagePlatform, resolveAllImages, resolveImage } from "./resolve-image.ts";

/** A manifest and the platform it is for. */
export interface PlatformImage extends ResolvedImage {
  readonly platform: Platform;
}

/**
 * The manifests of an image for the platforms asked for, each once: `"all"` there are; those listed;
 * or, by default, this machine's, and whatever platform a single manifest is for.
 * @throws not-found naming a platform that the image is not there for
 */
export async function selectImages(
  source: ImageSource,
  platforms: readonly Platform[] | "all" | undefined,
  { signal }: WaitOptions = {},
): Promise<PlatformImage[]> {
  const images =
    platforms === "all"
      ? await resolveAllImages(source, { signal })
      : await Promise.all(
          (platforms ?? [hostPlatform()]).map((platform) =>
            resolveImage(source, { platform, signal }),
          ),
        );
  const selected = new Map<string, PlatformImage>();
  for (const [i, image] of images.entries()) {
    const platform =
      image.platform ?? (await readImagePlatform(source, image.manifest, { signal }));
    const wanted = platforms === "all" ? undefined : platforms?.[i];
    // A single manifest was taken as it is; it may be for something else than was asked for.
    if (wanted !== undefined && platformRank(wanted, platform) === undefined) {
      throw new SociError(
        "not-found",
        `Cannot find platform "${formatPlatform(wanted)}" in "${source.name}"`,
        { hint: `It has ${formatPlatform(platform)}` },
      );
    }
    selected.set(image.descriptor.digest, { ...image, platform });
  }
  return [...selected.values()];
}
