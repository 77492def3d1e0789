import type { WaitOptions } from "../async/wait-options.ts";
import type { Mount } from "../containerd/api/mount.ts";
import type { Labels } from "../containerd/api/snapshots.ts";
import { SociError } from "../errors.ts";
import { idMappingsOf } from "./id-mappings.ts";
import { GID_MAPPING_LABEL, UID_MAPPING_LABEL } from "./labels.ts";
import type { LayerMounter, MountStackOptions, ServedLayer } from "./layer-mounter.ts";
import type { Metastore } from "./metastore.ts";
import { holderOf, type Snapshot } from "./snapshot.ts";
import type { SnapshotDirectories } from "./snapshot-directories.ts";
import { snapshotMounts } from "./snapshot-mounts.ts";

export interface SnapshotStacksOptions {
  readonly metastore: Metastore;
  readonly mounter: LayerMounter;
  readonly directories: SnapshotDirectories;
  readonly userxattr: boolean;
}

/** What is below a snapshot: directories of our own, the newest first, over layers that are shown. */
interface Below {
  readonly local: readonly Snapshot[];
  readonly stack: { readonly layers: readonly ServedLayer[]; readonly top: Snapshot } | undefined;
}

/** Makes mounts of what is below snapshots: what is served is one directory, whatever its layers. */
export class SnapshotStacks {
  readonly #options: SnapshotStacksOptions;

  constructor(options: SnapshotStacksOptions) {
    this.#options = options;
  }

  /**
   * How to mount an active snapshot or a view; what it stands on is there when it resolves.
   * @throws failed-precondition for a committed one, unavailable when a layer cannot be shown,
   *   unsupported for mapped ids over both kinds of layers
   */
  async mountsOf(snapshot: Snapshot, wait: WaitOptions = {}): Promise<readonly Mount[]> {
    const { kind, id } = snapshot;
    if (kind === "committed") {
      throw new SociError(
        "failed-precondition",
        `requested snapshot ${JSON.stringify(snapshot.name)} not active or view`,
      );
    }
    const { directories, mounter, userxattr } = this.#options;
    const below = this.#below(snapshot);
    const mapping = idMountOptions(snapshot, below);
    const lowers = below.local.map((one) => directories.fs(one.id));
    const stack = stackOf(snapshot, below);
    if (stack !== undefined) {
      lowers.push(await mounter.mountStack(stack.layers, { ...stack.options, ...wait }));
    }
    return snapshotMounts({
      kind,
      upper: directories.fs(id),
      work: directories.work(id),
      lowers,
      overlayOptions: [...(userxattr ? ["userxattr"] : []), ...mapping],
      bindOptions: mapping,
    });
  }

  /** Hands everything that is served to the mounter, as it was when the last process ended. */
  async restore(): Promise<void> {
    const { metastore, mounter } = this.#options;
    const layers: { snapshot: string; layer: ServedLayer }[] = [];
    const stacks: { layers: readonly ServedLayer[]; options: MountStackOptions }[] = [];
    for (const snapshot of metastore.byIds(metastore.ids())) {
      if (snapshot.layers !== undefined) {
        const holder = holderOf(snapshot);
        layers.push(...snapshot.layers.map((layer) => ({ snapshot: holder, layer })));
      } else if (snapshot.kind !== "committed") {
        const stack = stackOf(snapshot, this.#below(snapshot));
        if (stack !== undefined) stacks.push(stack);
      }
    }
    await mounter.restore({ layers, stacks });
  }

  #below({ id, parent }: Snapshot): Below {
    if (parent === undefined) return { local: [], stack: undefined };
    const ancestors = this.#options.metastore.ancestors(id);
    const at = ancestors.findIndex(({ layers }) => layers !== undefined);
    const top = ancestors[at];
    if (top === undefined) return { local: ancestors, stack: undefined };
    const layers = ancestors
      .slice(at)
      .toReversed()
      .flatMap((one) => {
        if (one.layers !== undefined) return one.layers;
        throw new Error(`Snapshot ${top.id} is served over ${one.id}, which is not`);
      });
    return { local: ancestors.slice(0, at), stack: { layers, top } };
  }
}

function stackOf(
  snapshot: Snapshot,
  { stack }: Below,
): { readonly layers: readonly ServedLayer[]; readonly options: MountStackOptions } | undefined {
  if (stack === undefined) return undefined;
  const options: MountStackOptions = {
    holder: holderOf(snapshot),
    top: holderOf(stack.top),
    ids: idMappingsOf(snapshot.labels),
  };
  return { layers: stack.layers, options };
}

/**
 * Ids of what is served are mapped where it is shown. Over directories of our own it is left to
 * containerd (1.7 and later), which maps each lower one as it mounts it.
 */
function idMountOptions({ name, labels }: Snapshot, { local, stack }: Below): readonly string[] {
  if (local.length === 0 || idMappingsOf(labels) === undefined) return [];
  if (stack !== undefined) {
    throw new SociError(
      "unsupported",
      `Cannot map the ids of snapshot ${JSON.stringify(name)}: of the layers below it ${stack.layers.length} are served and ${local.length} unpacked, want all of one kind`,
      { hint: "Remove the image and pull it again, or run the container without a user namespace" },
    );
  }
  return [
    `uidmap=${labelOf(labels, UID_MAPPING_LABEL)}`,
    `gidmap=${labelOf(labels, GID_MAPPING_LABEL)}`,
  ];
}

function labelOf(labels: Labels, key: string): string {
  return labels[key] ?? "";
}
