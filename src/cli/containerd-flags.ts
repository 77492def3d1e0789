import { ContainerdClient, DEFAULT_CONTAINERD_ADDRESS } from "../containerd/containerd-client.ts";
import type { ContainerdNamespace } from "../containerd/containerd-client.ts";
import type { CliIo } from "./cli-io.ts";
import type { FlagSpecs, FlagValues } from "./flag-spec.ts";

/** Of commands that take `containerd:REF`. */
export const CONTAINERD_FLAGS = {
  "containerd-address": {
    type: "string",
    short: "a",
    valueName: "SOCKET",
    description: `Where containerd listens, for containerd:REF. Default: $CONTAINERD_ADDRESS, else ${DEFAULT_CONTAINERD_ADDRESS}`,
  },
  namespace: {
    type: "string",
    short: "n",
    valueName: "NAME",
    description:
      "Namespace of containerd, for containerd:REF. Default: $CONTAINERD_NAMESPACE, else default",
  },
} as const satisfies FlagSpecs;

export type ContainerdFlagValues = FlagValues<typeof CONTAINERD_FLAGS>;

/** The namespace that flags, or the environment, name; closed with what owns it. */
export interface OpenedNamespace extends AsyncDisposable {
  readonly space: ContainerdNamespace;
}

/** containerd as flags or the environment name it; nobody is asked yet. @throws invalid-argument */
export function openNamespace(
  flags: Partial<ContainerdFlagValues>,
  { env }: Pick<CliIo, "env">,
): OpenedNamespace {
  const address = flags["containerd-address"] ?? env["CONTAINERD_ADDRESS"];
  const client = new ContainerdClient(address || DEFAULT_CONTAINERD_ADDRESS);
  return {
    space: client.namespace(flags.namespace ?? (env["CONTAINERD_NAMESPACE"] || "default")),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
