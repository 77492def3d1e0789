import { isKind, SociError } from "../../errors.ts";
import type { Platform } from "../../oci/descriptor.ts";
import type { ImageSource } from "../../oci/image-source.ts";
import { formatPlatform } from "../../oci/platform.ts";
import { type PlatformImage, selectImages } from "../../oci/select-images.ts";
import type { WaitOptions } from "../../async/wait-options.ts";

export interface SelectSociImagesOptions extends WaitOptions {
  readonly platforms: readonly Platform[] | "all" | undefined;
  /** The words before the platform's name where the image is not there for it. */
  readonly notFound?: (platform: string) => string;
}

/** The manifests of platforms, each platform spelled as it was asked for, since indexes are listed so. @throws not-found, in the Go tool's words */
export async function selectSociImages(
  source: ImageSource,
  {
    platforms,
    notFound = (platform) => `image manifest for ${platform}: not found`,
    signal,
  }: SelectSociImagesOptions,
): Promise<readonly PlatformImage[]> {
  try {
    if (platforms === "all" || platforms === undefined) {
      return await selectImages(source, platforms, { signal });
    }
  } catch (error) {
    throw absentContentOf(error) ?? error;
  }
  const found: PlatformImage[] = [];
  for (const platform of platforms) {
    try {
      const [image] = await selectImages(source, [platform], { signal });
      if (image !== undefined) found.push({ ...image, platform });
    } catch (error) {
      const absent = absentContentOf(error);
      if (absent !== undefined || !isKind(error, "not-found")) throw absent ?? error;
      throw new SociError("not-found", notFound(formatPlatform(platform)), {
        cause: error,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      });
    }
  }
  return found;
}

/** What is not there is a blob of the image, and not a platform in it. */
function absentContentOf(error: unknown): SociError | undefined {
  for (let link = error; link instanceof Error; link = link.cause) {
    if (isKind(link, "not-found") && link.message.startsWith("content digest ")) return link;
  }
  return undefined;
}
