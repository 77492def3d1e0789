import { resolve } from "node:path";
import { SociError } from "../errors.ts";
import { ArchiveDestination } from "./archive-destination.ts";
import type { ImageDestination } from "./image-destination.ts";
import { LayoutDestination } from "./layout-destination.ts";
import { openRegistry, type OpenRegistryOptions } from "./open-image-source.ts";
import type { Reference } from "./reference.ts";
import { RegistryDestination } from "./registry-destination.ts";
import { formatSourceName, type SourceName } from "./source-name.ts";

export interface OpenDestinationOptions extends OpenRegistryOptions {
  /** Where the image comes from, when that is a registry. */
  readonly source?: Reference | undefined;
  /** Directory that paths are relative to. */
  readonly cwd: string;
}

/** Opens the place where an image will be written. @throws invalid-argument, failed-precondition, unsupported */
export async function openImageDestination(
  destination: SourceName,
  { source, cwd, ...options }: OpenDestinationOptions,
): Promise<ImageDestination> {
  const name = formatSourceName(destination);
  switch (destination.transport) {
    case "registry": {
      const { reference } = destination;
      return new RegistryDestination({
        reference,
        client: await openRegistry(reference, options),
        source,
      });
    }
    case "oci":
      return await LayoutDestination.open({
        name,
        directory: resolve(cwd, destination.path),
        tag: destination.tag,
      });
    case "oci-archive":
      return await ArchiveDestination.open({
        name,
        file: resolve(cwd, destination.path),
        tag: destination.tag,
        isRemote: source !== undefined,
      });
    case "docker-archive":
      throw new SociError(
        "unsupported",
        `Cannot write to "${name}": Docker's archives cannot hold an image index`,
        { hint: `Name it oci-archive:${destination.path}` },
      );
  }
}
