import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { ContainerdDestination } from "../../containerd/containerd-destination.ts";
import { isKind, SociError } from "../../errors.ts";
import type { Logger } from "../../observability/log.ts";
import { isErrno } from "../../oci/fs-errors.ts";
import type { ImageDestination } from "../../oci/image-destination.ts";
import type { ImageSource } from "../../oci/image-source.ts";
import { TemporaryStage } from "../../oci/temporary-stage.ts";
import { SOCI_INDEX_V1, SOCI_INDEX_V2 } from "../../soci/annotations.ts";
import type { ArtifactSink } from "../../soci/artifact-sink.ts";
import { convertImage } from "../../soci/convert-image.ts";
import { LayoutSink } from "../../soci/layout-sink.ts";
import { openZtocFactory } from "../open-ztoc-factory.ts";
import { TerminalProgress } from "../terminal-progress.ts";
import { openLocalPlaces } from "../commands/convert-places.ts";
import { layerLine } from "../commands/layer-report.ts";
import { openContainerdImage } from "./containerd-image.ts";
import type { GoFlagValues } from "./go-flags.ts";
import { type IndexOptions, indexOptionsOf, sociPlatformsOf } from "./index-options.ts";
import type { SociCommand } from "./soci-command.ts";
import type { SociContext } from "./soci-context.ts";
import {
  CONVERT_FLAGS,
  OUTPUT_FORMATS,
  PLATFORM_FLAGS,
  PREFETCH_FLAGS,
  ZTOC_FLAGS,
} from "./soci-flags.ts";
import { sayPrefetch } from "./soci-prefetch-files.ts";
import { openStandaloneOutput } from "./standalone-output.ts";

export const sociConvert: SociCommand = {
  name: "convert",
  usage: "convert an OCI image to a SOCI enabled image",
  arguments: "[flags] <image_ref> <dest_ref>",
  flags: [...PLATFORM_FLAGS, ...ZTOC_FLAGS, ...PREFETCH_FLAGS, ...CONVERT_FLAGS],
  needsNoRoot: (flags) => flags.bool("standalone"),
  async run(context, { flags, words: [image = "", destination = ""] }) {
    if (image === "") {
      throw new SociError("invalid-argument", "source image needs to be specified");
    }
    if (destination === "") {
      throw new SociError("invalid-argument", "destination needs to be specified");
    }
    const names = { image, destination };
    if (flags.bool("standalone")) await convertStandalone(context, { flags, ...names });
    else await convertInContainerd(context, { flags, ...names });
  },
};

interface ConvertCall {
  readonly flags: GoFlagValues;
  readonly image: string;
  readonly destination: string;
}

async function convertInContainerd(
  context: SociContext,
  { flags, image, destination }: ConvertCall,
): Promise<void> {
  checkTagged(destination);
  const options = await indexOptionsOf(flags, context.io.cwd);
  await context.connect();
  context.contentStore();
  const { store, space } = await context.openStoreForWork("convert");
  await using source = openContainerdImage(image, { space, context });
  await source.root({ signal: context.signal });
  await using target = new ContainerdDestination({
    name: destination,
    space,
    image: destination,
    isSourcePlace: true,
    artifactConfigs: [SOCI_INDEX_V1, SOCI_INDEX_V2],
  });
  await convert(context, {
    flags,
    options,
    source,
    destination: target,
    sink: store,
    isListed: true,
    // containerd's clients pull one platform of several, and the others from where the image is.
    keepsMissing: true,
    directory: context.root,
    log: context.log,
  });
}

async function convertStandalone(
  context: SociContext,
  { flags, image, destination }: ConvertCall,
): Promise<void> {
  const { io, signal } = context;
  await stat(resolve(io.cwd, image)).catch((cause: unknown) => {
    const why = isErrno(cause, "ENOENT") ? "no such file or directory" : String(cause);
    throw new SociError("not-found", `failed to access input ${image}: stat ${image}: ${why}`, {
      cause,
    });
  });
  const options = await indexOptionsOf(flags, context.io.cwd);
  const format = OUTPUT_FORMATS.find((one) => one === flags.text("format")) ?? "oci-archive";
  await using output = await openStandaloneOutput(destination, { cwd: io.cwd, format });
  await using places = await openLocalPlaces(
    { image, destination: output.path },
    { cwd: io.cwd, format, signal },
  );
  await using temporary = await TemporaryStage.make(tmpdir());
  const sink = LayoutSink.over(places.destination.stage ?? (await temporary.layout()));
  await convert(context, {
    flags,
    options,
    source: places.source,
    destination: places.destination,
    sink,
    isListed: false,
    keepsMissing: false,
    directory: temporary.directory,
    log: context.log,
  });
  await output.finish();
}

interface ConvertOptions {
  readonly flags: GoFlagValues;
  readonly options: IndexOptions;
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  readonly sink: ArtifactSink;
  readonly isListed: boolean;
  readonly keepsMissing: boolean;
  readonly directory: string;
  readonly log: Logger;
}

async function convert(
  { io, services, signal }: SociContext,
  { flags, options, directory, log, ...places }: ConvertOptions,
): Promise<void> {
  const platforms = sociPlatformsOf(flags);
  using progress = new TerminalProgress(io.stderr);
  using factory = openZtocFactory(services, directory);
  const lines: Promise<void>[] = [];
  try {
    await convertImage({
      ...options,
      ...places,
      platforms,
      buildZtoc: factory.build,
      parallel: factory.parallel,
      signal,
      onLayer: (outcome) => {
        const line = layerLine(outcome);
        if (line === "") return;
        progress.aboutToWrite(line);
        lines.push(io.stdout.write(`${line}\n`));
      },
      onRead: ({ digest, size }) => progress.item(digest, { totalBytes: size }),
      onMissing: ({ digest }) => {
        // A layout of some platforms is taken for what it is, as by the Go tool.
        if (places.isListed) log.warn(`manifest ${digest} is not there: left out`);
      },
      onPlatform: async (platform) => {
        await Promise.all(lines.splice(0));
        await sayPrefetch(platform, { stdout: io.stdout, log });
      },
    });
  } catch (error) {
    throw isKind(error, "not-found") ? inGoWords(error) : error;
  } finally {
    await Promise.allSettled(lines);
  }
}

/** The Go tool does not say which image it is. */
function inGoWords(error: SociError): SociError {
  const [, message] =
    /^Cannot convert ".*": ((?:image manifest for|manifest list|content digest) .*)$/.exec(
      error.message,
    ) ?? [];
  if (message === undefined) return error;
  const { kind, hint } = error;
  return new SociError(kind, message, {
    cause: error.cause,
    ...(hint === undefined ? {} : { hint }),
  });
}

function checkTagged(destination: string): void {
  const why = destination.includes("@")
    ? "must not contain a digest"
    : /:[^/:]+$/.test(destination)
      ? undefined
      : "must be tagged";
  if (why === undefined) return;
  throw new SociError(
    "invalid-argument",
    `the destination image must be a tagged ref of the form "registry/repository:tag": reference ${why}`,
  );
}
