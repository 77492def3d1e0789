import { tmpdir } from "node:os";
import type { LayoutWriter } from "../../oci/layout-writer.ts";
import { formatPlatform } from "../../oci/platform.ts";
import { parseSpelledPlatform } from "../../oci/spelled-platform.ts";
import { TemporaryStage } from "../../oci/temporary-stage.ts";
import type { ArtifactSink } from "../../soci/artifact-sink.ts";
import { type ConvertedPlatform, convertImage } from "../../soci/convert-image.ts";
import { LayoutSink } from "../../soci/layout-sink.ts";
import { openLocalStore } from "../../soci/local-store.ts";
import { defineCommand } from "../command.ts";
import { CONTAINERD_FLAGS } from "../containerd-flags.ts";
import { IMAGE_ARG, PLATFORMS_FLAGS, platformsOf } from "../image-flags.ts";
import { openZtocFactory } from "../open-ztoc-factory.ts";
import { writeJson } from "../output.ts";
import { REGISTRY_FLAGS } from "../registry-options.ts";
import { safeText } from "../safe-text.ts";
import { type ConvertPlaces, openLocalPlaces, openNamedPlaces } from "./convert-places.ts";
import { INDEX_FLAGS, optimizationsOf } from "./index-flags.ts";
import { layerJson, layerLine } from "./layer-report.ts";
import { prefetchFilesOf } from "./prefetch-files.ts";
import { prefetchJson, reportPrefetch } from "./prefetch-report.ts";

const FORMATS = ["oci-archive", "oci-dir"] as const;

export const convertCommand = defineCommand({
  name: "convert",
  summary: "Write an image together with its SOCI index",
  description:
    "Builds v2 SOCI indexes and writes an OCI index that holds the image and them: an index that is copied, signed and removed with its image. Manifests name their index, so their digests change; layers do not. Layers are read once and go nowhere where the destination has them or can take them over: within a repository nothing is copied, within a registry they are mounted. Other platforms, signatures and attestations come along as they are. The same image gives the same digest, also when it is converted already.",
  examples: [
    {
      command: "sociable convert registry.example.com/app:1.4 registry.example.com/app:1.4-soci",
      explanation: "Convert an image in its registry, without pulling it",
    },
    {
      command: "sociable convert --all-platforms oci:./app:1.4 oci:./app:1.4-soci",
      explanation: "Convert every platform of an image in an OCI layout",
    },
    {
      command: "sociable convert registry.example.com/app:1.4 oci-archive:app.tar",
      explanation: "Write the converted image to an archive",
    },
    {
      command: "sociable convert --standalone --format oci-dir ./layout ./converted",
      explanation: "From a layout or archive to a layout, with nothing kept in the state directory",
    },
  ],
  args: [
    IMAGE_ARG,
    {
      name: "destination",
      required: true,
      description:
        "REPOSITORY:TAG (in a registry), containerd:REF, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
    },
  ],
  flags: {
    ...PLATFORMS_FLAGS,
    ...INDEX_FLAGS,
    standalone: {
      type: "boolean",
      description:
        "Keep nothing in the state directory; image and destination are paths: a layout or archive in, what --format says out",
    },
    format: {
      type: "choice",
      choices: FORMATS,
      default: "oci-archive",
      description: "What --standalone writes",
    },
    ...CONTAINERD_FLAGS,
    ...REGISTRY_FLAGS,
    "dest-user": {
      type: "string",
      valueName: "USER[:PASSWORD]",
      description: "As --user, for the destination where that is another registry",
    },
    json: {
      type: "boolean",
      description:
        "Print a JSON object: the new digest, and for each platform its index and layers",
    },
  },
  async run({ args, flags, io, log, root, signal, progress, services }) {
    const optimizations = optimizationsOf(flags);
    const platforms = flags["all-platforms"]
      ? platformsOf(flags)
      : spelledPlatforms(flags.platform);
    const prefetchFiles = await prefetchFilesOf(flags, io.cwd);
    const { standalone } = flags;
    await using places = standalone
      ? await openLocalPlaces(args, { cwd: io.cwd, format: formatOf(flags.format), signal })
      : await openNamedPlaces(
          { ...args, destinationUser: flags["dest-user"] },
          { flags, io, log, signal },
        );
    await using work = standalone
      ? await openTemporaryPlace(places)
      : await openStorePlace(places, { root, signal });
    using factory = openZtocFactory(services, work.directory);
    const lines: Promise<void>[] = [];
    const { descriptor, platforms: converted } = await convertImage({
      source: places.source,
      destination: places.destination,
      platforms,
      sink: work.sink,
      stage: work.stage,
      isListed: !standalone,
      keepsMissing: places.keepsMissing,
      buildZtoc: factory.build,
      parallel: factory.parallel,
      spanSize: flags["span-size"],
      minLayerSize: flags["min-layer-size"],
      optimizations,
      force: flags.force,
      prefetchFiles,
      signal,
      onLayer: (outcome) => {
        const line = layerLine(outcome);
        if (!flags.json && line !== "") lines.push(io.stdout.write(`${line}\n`));
      },
      onRead: ({ digest, size }) => progress.item(digest, { totalBytes: size }),
      onMissing: ({ digest, platform }) => {
        log.warn("manifest is not there: left out", {
          digest,
          ...(platform === undefined ? {} : { platform: formatPlatform(platform) }),
        });
      },
      onPlatform: async (platform) => {
        await Promise.all(lines.splice(0));
        await reportPrefetch(platform, { stdout: flags.json ? undefined : io.stdout, log });
        const { sociIndex } = platform;
        if (flags.json || sociIndex === undefined) return;
        const name = safeText(formatPlatform(platform.platform));
        await io.stdout.write(`index ${sociIndex.digest} for ${name}\n`);
      },
    });
    await Promise.all(lines);
    const { digest, size } = descriptor;
    if (flags.json) {
      await writeJson(io.stdout, { digest, size, platforms: converted.map(platformJson) });
    } else {
      await io.stdout.write(`image ${digest} at ${safeText(places.destination.name)}\n`);
    }
  },
});

/** As platformsOf(), but spelled as containerd does: the spelling is part of what is written. */
function spelledPlatforms(flags: readonly string[]) {
  const names = flags.flatMap((text) => text.split(","));
  return names.length === 0 ? undefined : names.map((name) => parseSpelledPlatform(name));
}

function formatOf(text: string): (typeof FORMATS)[number] {
  return FORMATS.find((format) => format === text) ?? "oci-archive";
}

/** Where zTOCs go, and layers that are needed twice. */
interface WorkPlace extends AsyncDisposable {
  readonly sink: ArtifactSink;
  readonly stage: LayoutWriter | undefined;
  /** For what is too large for memory meanwhile. */
  readonly directory: string;
}

async function openStorePlace(
  { isBetweenRegistries }: ConvertPlaces,
  { root, signal }: { readonly root: string; readonly signal: AbortSignal },
): Promise<WorkPlace> {
  await using cleanup = new AsyncDisposableStack();
  const sink = cleanup.use(await openLocalStore({ root, signal }));
  const stage = isBetweenRegistries
    ? await cleanup.use(await TemporaryStage.make(root)).layout()
    : undefined;
  const owned = cleanup.move();
  return { sink, stage, directory: root, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function openTemporaryPlace({ destination }: ConvertPlaces): Promise<WorkPlace> {
  await using cleanup = new AsyncDisposableStack();
  const temporary = cleanup.use(await TemporaryStage.make(tmpdir()));
  const sink = LayoutSink.over(destination.stage ?? (await temporary.layout()));
  const owned = cleanup.move();
  return {
    sink,
    stage: undefined,
    directory: temporary.directory,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function platformJson(converted: ConvertedPlatform): unknown {
  const { platform, manifest, sociIndex, layers } = converted;
  return {
    platform: formatPlatform(platform),
    manifest: manifest.digest,
    index: sociIndex?.digest ?? null,
    layers: layers.map(layerJson),
    ...prefetchJson(converted),
  };
}
