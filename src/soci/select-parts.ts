import { SociError } from "../errors.ts";
import type { Platform } from "../oci/descriptor.ts";
import { formatPlatform, platformRank } from "../oci/platform.ts";
import { spelledHostPlatform } from "../oci/spelled-platform.ts";
import type { ImagePart, ImageParts, OtherPart, PlatformManifest } from "./image-parts.ts";

/** A platform's manifest, and how the platform was spelled by whoever asked for it. */
export interface SelectedPart {
  readonly part: PlatformManifest;
  readonly platform: Platform;
}

/**
 * The manifests of an image for the platforms asked for, each once: `"all"` there are; those listed; or, by
 * default, this machine's, and whatever platform a single manifest is for.
 * @throws not-found naming a platform that the image is not there for
 */
export function selectParts(
  { parts, isSingle }: Pick<ImageParts, "parts" | "isSingle">,
  platforms: readonly Platform[] | "all" | undefined,
  name: string,
): readonly SelectedPart[] {
  const images = parts.filter((part) => part.kind === "image");
  const absent = parts.filter(isAbsentImage);
  const [firstAbsent] = absent;
  if (platforms === "all" && firstAbsent !== undefined) throw absentError(firstAbsent, name);
  const selected =
    platforms === "all" || (platforms === undefined && isSingle)
      ? images.map((part) => ({ part, platform: part.platform }))
      : (platforms ?? [spelledHostPlatform()]).map((platform) => ({
          part: bestOf(images, platform, { name, absent, isStrict: platforms !== undefined }),
          platform,
        }));
  const distinct = new Map<string, SelectedPart>();
  for (const one of selected) {
    if (!distinct.has(one.part.descriptor.digest)) distinct.set(one.part.descriptor.digest, one);
  }
  return [...distinct.values()];
}

function bestOf(
  images: readonly PlatformManifest[],
  wanted: Platform,
  {
    name,
    absent,
    isStrict,
  }: {
    readonly name: string;
    readonly absent: readonly OtherPart[];
    readonly isStrict: boolean;
  },
): PlatformManifest {
  const ranked = images.flatMap((part) => {
    const rank = platformRank(wanted, part.platform, { strict: isStrict });
    return rank === undefined ? [] : [{ part, rank }];
  });
  const [best] = ranked.toSorted((left, right) => left.rank - right.rank);
  if (best !== undefined) return best.part;
  for (const part of absent) {
    const { platform } = part.descriptor;
    const isWanted =
      platform !== undefined && platformRank(wanted, platform, { strict: isStrict }) !== undefined;
    if (isWanted) throw absentError(part, name);
  }
  const others = images.map(({ platform }) => formatPlatform(platform)).join(", ");
  throw new SociError(
    "not-found",
    `Cannot convert "${name}": image manifest for ${formatPlatform(wanted)}: not found`,
    { hint: others === "" ? "It has no images" : `It has ${others}` },
  );
}

/** An entry that looks like an image's, of which the manifest is not there. */
function isAbsentImage(part: ImagePart): part is OtherPart {
  const { platform, artifactType, annotations } = part.descriptor;
  return (
    part.kind === "missing" &&
    platform !== undefined &&
    platform.os !== "unknown" &&
    (artifactType ?? "") === "" &&
    annotations?.["vnd.docker.reference.type"] === undefined
  );
}

function absentError({ descriptor: { digest } }: OtherPart, name: string): SociError {
  return new SociError(
    "not-found",
    `Cannot convert "${name}": content digest ${digest}: not found`,
    {
      hint: "Its manifest is not there: pull the image for that platform, too",
    },
  );
}
