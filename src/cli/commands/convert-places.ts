import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { ContainerdDestination } from "../../containerd/containerd-destination.ts";
import { leaseForWork } from "../../containerd/work-lease.ts";
import { SociError } from "../../errors.ts";
import { ArchiveDestination } from "../../oci/archive-destination.ts";
import { ArchiveFiles } from "../../oci/archive-files.ts";
import type { ImageDestination } from "../../oci/image-destination.ts";
import type { ImageSource } from "../../oci/image-source.ts";
import { LayoutDestination } from "../../oci/layout-destination.ts";
import { directoryFiles, type LayoutFiles } from "../../oci/layout-files.ts";
import { LayoutSource } from "../../oci/layout-source.ts";
import { isManifestType } from "../../oci/media-types.ts";
import { openImageDestination } from "../../oci/open-image-destination.ts";
import { openImageSource } from "../../oci/open-image-source.ts";
import { parseSourceName } from "../../oci/source-name.ts";
import { SOCI_INDEX_V1, SOCI_INDEX_V2 } from "../../soci/annotations.ts";
import { FlatLayoutSource } from "../../soci/flat-layout-source.ts";
import { openNamespace } from "../containerd-flags.ts";
import { parseContainerdName } from "../containerd-name.ts";
import { openSource } from "../image-flags.ts";
import type { ContainerdSourceContext } from "../open-containerd-source.ts";
import { registryOptions } from "../registry-options.ts";

/** Where an image is read and where it is written. */
export interface ConvertPlaces extends AsyncDisposable {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  /** Whether every byte has to come from one registry and go to another one. */
  readonly isBetweenRegistries: boolean;
  /** Whether manifests that are not there stay in the image: containerd's clients pull one platform of several, and the others from where the image is. */
  readonly keepsMissing: boolean;
}

export interface ConvertNames {
  readonly image: string;
  readonly destination: string;
  /** Who logs in at the destination's registry, when it is another one. */
  readonly destinationUser: string | undefined;
}

/** Opens source and destination as their names say. May ask for a password. @throws invalid-argument */
export async function openNamedPlaces(
  { image, destination, destinationUser }: ConvertNames,
  context: ContainerdSourceContext,
): Promise<ConvertPlaces> {
  const fromContainerd = parseContainerdName(image);
  const toContainerd = parseContainerdName(destination);
  if (fromContainerd !== undefined || toContainerd !== undefined) {
    const names = { image, destination, destinationUser, fromContainerd, toContainerd };
    return await openContainerdPlaces(names, context);
  }
  const { io, log, signal } = context;
  const from = parseSourceName(image);
  const to = parseSourceName(destination);
  if (
    to.transport === "registry" &&
    (to.reference.digest !== undefined || !isTagged(destination))
  ) {
    const why = to.reference.digest === undefined ? "must be tagged" : "must not contain a digest";
    throw new SociError(
      "invalid-argument",
      `the destination image must be a tagged ref of the form "registry/repository:tag": reference ${why}`,
    );
  }
  const source = from.transport === "registry" ? from.reference : undefined;
  const target = to.transport === "registry" ? to.reference : undefined;
  const sourceOptions =
    source === undefined ? { log, signal } : await registryOptions(source.registry, context);
  const isSameRegistry = source !== undefined && source.registry === target?.registry;
  const targetOptions =
    target === undefined || (isSameRegistry && destinationUser === undefined)
      ? sourceOptions
      : await registryOptions(target.registry, {
          ...context,
          flags: { ...context.flags, user: destinationUser },
        });
  await using cleanup = new AsyncDisposableStack();
  const places = {
    source: cleanup.use(await openImageSource(image, sourceOptions)),
    destination: cleanup.use(
      await openImageDestination(to, { ...targetOptions, source, cwd: io.cwd }),
    ),
    isBetweenRegistries: source !== undefined && target !== undefined && !isSameRegistry,
    keepsMissing: false,
  };
  const owned = cleanup.move();
  return { ...places, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The same where one of them, or both, is in containerd. */
async function openContainerdPlaces(
  {
    image,
    destination,
    destinationUser,
    fromContainerd,
    toContainerd,
  }: ConvertNames & {
    readonly fromContainerd: string | undefined;
    readonly toContainerd: string | undefined;
  },
  context: ContainerdSourceContext,
): Promise<ConvertPlaces> {
  const { flags, io, signal } = context;
  await using cleanup = new AsyncDisposableStack();
  const source = cleanup.use(await openSource(image, context));
  let target: ImageDestination;
  if (toContainerd === undefined) {
    const to = parseSourceName(destination);
    const options =
      to.transport === "registry"
        ? await registryOptions(to.reference.registry, {
            ...context,
            flags: { ...flags, user: destinationUser ?? flags.user },
          })
        : { signal };
    target = await openImageDestination(to, { ...options, cwd: io.cwd });
  } else {
    const { space } = cleanup.use(openNamespace(flags, io));
    const lease = cleanup.use(await leaseForWork(space, { what: "convert", signal }));
    target = new ContainerdDestination({
      name: destination,
      space: lease.space,
      image: toContainerd,
      isSourcePlace: fromContainerd !== undefined,
      artifactConfigs: [SOCI_INDEX_V1, SOCI_INDEX_V2],
    });
  }
  const places = {
    source,
    destination: cleanup.use(target),
    isBetweenRegistries: false,
    keepsMissing: fromContainerd !== undefined && toContainerd !== undefined,
  };
  const owned = cleanup.move();
  return { ...places, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** As the Go tool's `convert --standalone`: a layout directory or an archive in, one of them out. @throws not-found */
export async function openLocalPlaces(
  { image, destination }: Pick<ConvertNames, "image" | "destination">,
  {
    cwd,
    format,
    signal,
  }: {
    readonly cwd: string;
    readonly format: "oci-archive" | "oci-dir";
    readonly signal: AbortSignal;
  },
): Promise<ConvertPlaces> {
  const input = resolve(cwd, image);
  const output = resolve(cwd, destination);
  const isDirectory = await stat(input).then(
    (found) => found.isDirectory(),
    (cause: unknown) => {
      throw new SociError("not-found", `failed to access input ${JSON.stringify(image)}`, {
        cause,
      });
    },
  );
  await using cleanup = new AsyncDisposableStack();
  const files: LayoutFiles = isDirectory
    ? directoryFiles(input)
    : await ArchiveFiles.open(input, { signal });
  const places = {
    source: cleanup.use(await openLayout(image, files)),
    destination: cleanup.use(
      format === "oci-dir"
        ? await LayoutDestination.open({ name: destination, directory: output, isAlone: true })
        : await ArchiveDestination.open({ name: destination, file: output }),
    ),
    isBetweenRegistries: false,
    keepsMissing: false,
  };
  const owned = cleanup.move();
  return { ...places, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A layout that lists several manifests, none of them an index, holds one image of several platforms. */
async function openLayout(name: string, files: LayoutFiles): Promise<ImageSource> {
  await using cleanup = new AsyncDisposableStack();
  const layout = cleanup.use(new LayoutSource({ name, files }));
  const entries = await layout.entries();
  const isFlat = entries.length > 1 && entries.every(({ mediaType }) => isManifestType(mediaType));
  cleanup.move();
  return isFlat ? new FlatLayoutSource(layout, entries) : layout;
}

// parseReference() gives a name without a tag the tag "latest".
function isTagged(text: string): boolean {
  return /:[^/:]+$/.test(text);
}
