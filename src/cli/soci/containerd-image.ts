import { ContainerdSource } from "../../containerd/containerd-source.ts";
import type { ContainerdNamespace } from "../../containerd/containerd-client.ts";
import { registryFallback } from "../open-containerd-source.ts";
import type { RegistryFlagValues } from "../registry-options.ts";
import type { GoFlagValues } from "./go-flags.ts";
import type { SociContext } from "./soci-context.ts";

const NO_REGISTRY_FLAGS: RegistryFlagValues = {
  user: undefined,
  "plain-http": false,
  "skip-verify": false,
  "hosts-dir": undefined,
  tlscacert: undefined,
  tlscert: undefined,
  tlskey: undefined,
};

/** The registry flags of a command line of the Go tool. */
export function registryFlagsOf(flags: GoFlagValues): RegistryFlagValues {
  const text = (name: string): string | undefined => flags.text(name) || undefined;
  return {
    user: text("user"),
    "plain-http": flags.bool("plain-http"),
    "skip-verify": flags.bool("skip-verify"),
    "hosts-dir": text("hosts-dir"),
    tlscacert: text("tlscacert"),
    tlscert: text("tlscert"),
    tlskey: text("tlskey"),
  };
}

/** An image that containerd has. Layers that it has not, since a snapshotter shows them, come from the image's registry. */
export function openContainerdImage(
  image: string,
  { space, context }: { readonly space: ContainerdNamespace; readonly context: SociContext },
): ContainerdSource {
  return new ContainerdSource({
    name: image,
    space,
    image,
    fallback: registryFallback(image, {
      flags: NO_REGISTRY_FLAGS,
      io: context.io,
      log: context.log,
      signal: context.signal,
    }),
  });
}
