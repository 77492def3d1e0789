import { stat } from "node:fs/promises";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import type { Platform } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { openImageSource } from "../oci/open-image-source.ts";
import { parsePlatform } from "../oci/platform.ts";
import { parseReference, type RegistryHost } from "../oci/reference.ts";
import { parseSourceName } from "../oci/source-name.ts";
import { LOCAL_STORE_DATABASE, type LocalStore, openLocalStore } from "../soci/local-store.ts";
import type { FlagSpecs } from "./flag-spec.ts";
import { parseContainerdName } from "./containerd-name.ts";
import { type ContainerdSourceContext, openContainerdSource } from "./open-containerd-source.ts";
import { registryOptions } from "./registry-options.ts";

/** What every command that names an image takes. */
export const IMAGE_ARG = {
  name: "image",
  required: true,
  description:
    "REF (in a registry), containerd:REF, oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REF]",
} as const;

/** Of commands that work on several platforms of an image. */
export const PLATFORMS_FLAGS = {
  platform: {
    type: "string",
    multiple: true,
    short: "p",
    valueName: "OS/ARCH[/VARIANT]",
    description: "Platform to work on; repeatable. Default: this machine's, or the only one",
  },
  "all-platforms": { type: "boolean", description: "Work on every platform of the image" },
} as const satisfies FlagSpecs;

/** Of commands that look at one platform of an image. */
export const PLATFORM_FLAG = {
  platform: {
    type: "string",
    short: "p",
    valueName: "OS/ARCH[/VARIANT]",
    description: "Platform to look at. Default: this machine's, or the only one",
  },
} as const satisfies FlagSpecs;

/** @throws invalid-argument */
export function platformsOf(flags: {
  readonly platform: readonly string[];
  readonly "all-platforms": boolean;
}): readonly Platform[] | "all" | undefined {
  if (flags["all-platforms"] && flags.platform.length > 0) {
    throw new SociError(
      "invalid-argument",
      "Cannot use --platform with --all-platforms: give one of them",
    );
  }
  if (flags["all-platforms"]) return "all";
  // As the Go tool, which splits repeatable flags at commas.
  const names = flags.platform.flatMap((text) => text.split(","));
  return names.length === 0 ? undefined : names.map((name) => parsePlatform(name));
}

/** The registry that an image comes from, if it comes from one. @throws invalid-argument */
export function registryOf(name: string): RegistryHost | undefined {
  const image = parseContainerdName(name);
  if (image !== undefined) return parseReference(image).registry;
  const source = parseSourceName(name);
  return source.transport === "registry" ? source.reference.registry : undefined;
}

/** Opens the image that a command names. May ask for a password. */
export async function openSource(
  name: string,
  context: ContainerdSourceContext,
): Promise<ImageSource> {
  const image = parseContainerdName(name);
  if (image !== undefined) return openContainerdSource(image, context);
  const source = parseSourceName(name);
  const { log, signal } = context;
  const options =
    source.transport === "registry"
      ? await registryOptions(source.reference.registry, context)
      : { log, signal };
  return await openImageSource(name, options);
}

/** The local store when there is one; reading commands do not make it. */
export async function openStoreIfThere(
  root: string,
  signal: AbortSignal,
): Promise<LocalStore | undefined> {
  const exists = await stat(join(root, LOCAL_STORE_DATABASE)).then(
    () => true,
    () => false,
  );
  return exists ? await openLocalStore({ root, signal }) : undefined;
}
