import type { WaitOptions } from "../async/wait-options.ts";
import { leaseForWork } from "../containerd/work-lease.ts";
import type { CliIo } from "./cli-io.ts";
import { CONTAINERD_FLAGS, type ContainerdFlagValues, openNamespace } from "./containerd-flags.ts";
import type { FlagSpecs } from "./flag-spec.ts";
import { ContainerdStore } from "./soci/containerd-store.ts";
import { openLocalSociStore } from "./soci/local-soci-store.ts";
import type { SociStore } from "./soci/soci-store.ts";

/** Of commands that work on stored artifacts, wherever they are. */
export const STORE_FLAGS = {
  "content-store": {
    type: "choice",
    choices: ["local", "containerd"],
    default: "local",
    description:
      "Where SOCI artifacts are: in the state directory, or in containerd's store, where they live and die with their image",
  },
  ...CONTAINERD_FLAGS,
} as const satisfies FlagSpecs;

export interface ArtifactStoreOptions extends WaitOptions {
  readonly flags: ContainerdFlagValues & { readonly "content-store": "local" | "containerd" };
  readonly io: Pick<CliIo, "env">;
  /** The state directory; of containerd's store, the list is there. */
  readonly root: string;
  /** Whether artifacts will be put there: containerd keeps them until the store is closed. */
  readonly isForWork?: boolean;
}

/** Opens the store that the flags name. What containerd has collected is taken from its list first. @throws unavailable when containerd is not there */
export async function openArtifactStore({
  flags,
  io,
  root,
  isForWork = false,
  signal,
}: ArtifactStoreOptions): Promise<SociStore> {
  if (flags["content-store"] === "local") return await openLocalSociStore({ root, signal });
  await using cleanup = new AsyncDisposableStack();
  const { space } = cleanup.use(openNamespace(flags, io));
  const leased = isForWork
    ? cleanup.use(await leaseForWork(space, { what: "create", signal })).space
    : space;
  const store = cleanup.use(await ContainerdStore.open({ root, space: leased, signal }));
  await store.refresh({ signal });
  return store.owning(cleanup.move());
}
