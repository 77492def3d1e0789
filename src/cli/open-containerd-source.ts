import { type BlobFallback, ContainerdSource } from "../containerd/containerd-source.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { openRegistry } from "../oci/open-image-source.ts";
import { parseReference } from "../oci/reference.ts";
import { RegistrySource } from "../oci/registry-source.ts";
import { type ContainerdFlagValues, openNamespace } from "./containerd-flags.ts";
import { registryOptions, type RegistryOptionsContext } from "./registry-options.ts";

export interface ContainerdSourceContext extends RegistryOptionsContext {
  readonly flags: RegistryOptionsContext["flags"] & Partial<ContainerdFlagValues>;
}

/**
 * Opens an image that containerd has. Layers that it has not, since a snapshotter shows them without
 * having been pulled, come from the image's registry.
 */
export function openContainerdSource(image: string, context: ContainerdSourceContext): ImageSource {
  const opened = openNamespace(context.flags, context.io);
  return new ContainerdSource({
    name: `containerd:${image}`,
    space: opened.space,
    image,
    fallback: registryFallback(image, context),
    owned: opened,
  });
}

/** Where the blobs of an image of this name come from that were never pulled. May ask for a password. */
export function registryFallback(image: string, context: RegistryOptionsContext): BlobFallback {
  return async () => {
    const reference = parseReference(image);
    const options = await registryOptions(reference.registry, context);
    return new RegistrySource({ reference, client: await openRegistry(reference, options) });
  };
}
