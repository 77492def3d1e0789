import type { WaitOptions } from "../../async/wait-options.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { ImageSource } from "../../oci/image-source.ts";
import { parseImageIndex } from "../../oci/manifest.ts";
import { isIndexType } from "../../oci/media-types.ts";
import { formatPlatform, hostPlatform, parsePlatform } from "../../oci/platform.ts";
import { type ResolvedImage, resolveImage } from "../../oci/resolve-image.ts";
import { discoverSociIndex } from "../../soci/discover.ts";
import { paintOf } from "../colors.ts";
import { defineCommand } from "../command.ts";
import { IMAGE_ARG, openSource, openStoreIfThere, PLATFORM_FLAG } from "../image-flags.ts";
import { writeJson } from "../output.ts";
import { PAGER_FLAG, withPager } from "../pager.ts";
import { REGISTRY_FLAGS } from "../registry-options.ts";
import { explicitIndex, INDEX_FLAG } from "../view-image.ts";
import { explainLayers } from "./explain-layers.ts";
import { readRunConfig } from "./inspect-config.ts";
import { formatInspection, type Inspection, jsonOfInspection } from "./inspect-report.ts";
import { coldStartOf } from "./inspect-start.ts";

export const inspectCommand = defineCommand({
  name: "inspect",
  summary: "Show what an image is and what starting it costs",
  description:
    "Platforms, config, layers and the SOCI index of an image, and what a start on a host that has none of it fetches first. Reads manifests, config, index and zTOCs; nothing of the layers. Of environment variables the names alone are shown: values may be secrets.",
  examples: [
    { command: "sociable inspect registry.example.com/team/app:1.4", explanation: "On one screen" },
    {
      command: "sociable inspect --platform linux/arm64 --json oci-archive:app.tar",
      explanation: "Another platform's, for scripts",
    },
  ],
  args: [IMAGE_ARG],
  flags: {
    ...PLATFORM_FLAG,
    ...INDEX_FLAG,
    json: {
      type: "boolean",
      description:
        "Print a JSON object: image, root, manifest, platform, platforms, config, index, misses, layers, coldStart",
    },
    ...PAGER_FLAG,
    ...REGISTRY_FLAGS,
  },
  async run(context) {
    const { args, flags, io, log, root, signal } = context;
    await using source = await openSource(args.image, { flags, io, log, signal });
    await using resources = new AsyncDisposableStack();
    const store = await openStoreIfThere(root, signal);
    if (store !== undefined) resources.use(store);
    const wanted = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
    const image = await resolveImage(source, { platform: wanted, signal });
    const { descriptor, manifest } = image;
    const explicit =
      flags.index === undefined ? undefined : await explicitIndex(flags.index, io.cwd);
    const [{ config, platform: stated }, platforms, discovery] = await Promise.all([
      readRunConfig(source, manifest, { signal }),
      listPlatforms(source, image, { signal }),
      discoverSociIndex({
        source,
        imageManifest: descriptor,
        annotations: manifest.annotations,
        explicit,
        store,
        signal,
      }),
    ]);
    const { found } = discovery;
    const layers = await explainLayers(manifest.layers, {
      source,
      index: found?.index,
      store,
      signal,
    });
    const inspection: Inspection = {
      image: args.image,
      root: image.root.digest,
      manifest: descriptor.digest,
      platform: formatPlatform(image.platform ?? stated),
      platforms,
      config,
      discovery,
      layers,
      start: coldStartOf({ image, found, layers }),
    };
    await withPager({ io, flags }, async (out) => {
      if (flags.json) {
        await writeJson(out, jsonOfInspection(inspection));
        return;
      }
      const width = out.isTty ? io.stderr.columns : undefined;
      await out.write(formatInspection(inspection, { paint: paintOf(io), width }));
    });
  },
});

/** The images of an index, each for a platform; of a single manifest nothing. Attestations are left out. */
async function listPlatforms(
  source: ImageSource,
  { root }: ResolvedImage,
  { signal }: WaitOptions,
): Promise<readonly Descriptor[]> {
  if (!isIndexType(root.mediaType)) return [];
  const { mediaType, digest } = root;
  const bytes = await source.manifest(root, { signal });
  const { manifests } = parseImageIndex(bytes, { mediaType, what: `image index ${digest}` });
  return manifests.filter(
    ({ platform }) => platform !== undefined && platform.os !== "unknown" && platform.os !== "",
  );
}
