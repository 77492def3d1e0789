import { isKind } from "../../errors.ts";
import { formatPlatform, parsePlatform } from "../../oci/platform.ts";
import type { Artifact } from "../../soci/artifact.ts";
import { formatIndexTable } from "../../soci/index-listing.ts";
import { versionOf } from "../../soci/soci-index.ts";
import { formatByteSize } from "../byte-size.ts";
import { type Paint, paintOf } from "../colors.ts";
import { openArtifactStore, STORE_FLAGS } from "../artifact-store.ts";
import { defineCommand } from "../command.ts";
import { writeJson } from "../output.ts";
import { PAGER_FLAG, withPager } from "../pager.ts";
import { safeText } from "../safe-text.ts";
import { formatTable } from "../table.ts";
import { formatAge } from "./format-age.ts";
import { indexesOfImage } from "./index-of-image.ts";

export const indexListCommand = defineCommand({
  name: "index list",
  summary: "List the SOCI indexes in the state directory",
  description: "The newest come first.",
  examples: [
    { command: "sociable index list", explanation: "Digest, image, platform and age of each" },
    {
      command: "sociable index list --ref docker.io/library/alpine:latest --platform linux/arm64",
      explanation: "Of one image and platform",
    },
  ],
  args: [],
  flags: {
    ref: { type: "string", valueName: "IMAGE", description: "Only indexes of this image" },
    platform: {
      type: "string",
      valueName: "OS/ARCH[/VARIANT]",
      short: "p",
      multiple: true,
      description: "Only indexes of this platform; may be repeated",
    },
    quiet: { type: "boolean", short: "q", description: "Print digests only" },
    json: {
      type: "boolean",
      description:
        "Print a JSON array of objects: digest, size, imageRef, platform, mediaType, version, manifestDigest, createdAt",
    },
    ...PAGER_FLAG,
    ...STORE_FLAGS,
  },
  async run(context) {
    const { flags, io } = context;
    const wanted = flags.platform.map((text) => formatPlatform(parsePlatform(text)));
    await using store = await openArtifactStore(context);
    const all =
      flags.ref === undefined ? store.artifacts.listIndexes() : indexesOfImage(store, flags.ref);
    const indexes = all.filter(
      ({ platform }) => wanted.length === 0 || wanted.includes(normalName(platform)),
    );
    await withPager({ io, flags }, async (out) => {
      if (flags.json) await writeJson(out, indexes.map(reportOf));
      else if (flags.quiet) {
        const digests = new Set(indexes.map((index) => index.digest));
        await out.write([...digests].map((line) => `${line}\n`).join(""));
      } else {
        const shown = indexes.map(fitForTerminal);
        const now = Date.now();
        const table = out.isTty
          ? tableForPeople(shown, { paint: paintOf(io), now })
          : formatIndexTable(shown, now);
        await out.write(table);
      }
    });
  },
});

/** What a person looks for first comes first; digests are whole, to be copied. */
function tableForPeople(
  indexes: readonly Artifact[],
  { paint, now }: { readonly paint: Paint; readonly now: number },
): string {
  const head = ["IMAGE", "PLATFORM", "VERSION", "SIZE", "CREATED", "DIGEST"];
  const rows = indexes.map((index) => [
    index.imageName === "" ? "-" : index.imageName,
    index.platform === "" ? "-" : index.platform,
    versionOf(index.artifactType) ?? "-",
    formatByteSize(index.size),
    formatAge(index.createdAt, now),
    index.digest,
  ]);
  return formatTable([head.map((cell) => paint("bold", cell)), ...rows], { right: [3] });
}

/** `linux/arm64/v8` is `linux/arm64`, however the index's creator spelled it. */
function normalName(platform: string): string {
  try {
    return formatPlatform(parsePlatform(platform));
  } catch (error) {
    // What is no platform is none of those asked for.
    if (isKind(error, "invalid-argument")) return platform;
    throw error;
  }
}

/** Names and platforms come from images. */
function fitForTerminal(index: Artifact): Artifact {
  return {
    ...index,
    imageName: safeText(index.imageName),
    platform: safeText(index.platform),
    mediaType: safeText(index.mediaType),
  };
}

function reportOf(index: Artifact) {
  return {
    digest: index.digest,
    size: index.size,
    imageRef: index.imageName,
    platform: index.platform,
    mediaType: index.mediaType,
    version: versionOf(index.artifactType) ?? null,
    manifestDigest: index.ociDigest,
    createdAt: new Date(index.createdAt).toISOString(),
  };
}
