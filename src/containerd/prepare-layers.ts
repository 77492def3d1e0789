import { randomBytes } from "node:crypto";
import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { Mount } from "./api/mount.ts";
import type { Labels } from "./api/snapshots.ts";
import { chainIds } from "./chain-ids.ts";
import type { ContainerdNamespace } from "./containerd-client.ts";
import { uncompressedLabels } from "./gc-labels.ts";
import type { LayerDownloads } from "./layer-downloads.ts";
import type { LayerStatus, PulledLayer } from "./pulled-layer.ts";
import { layerLabels, REMOTE_SNAPSHOT_LABEL, WHOLE_IMAGE_LABEL } from "./snapshot-labels.ts";
import type { SnapshotsClient } from "./snapshots-client.ts";

export interface PrepareLayersOptions extends WaitOptions {
  readonly space: ContainerdNamespace;
  readonly snapshotter: string;
  readonly imageName: string;
  readonly manifest: Digest;
  /** Bottom first, with as many diff ids. */
  readonly layers: readonly Descriptor[];
  readonly diffIds: readonly Digest[];
  readonly index?: Digest | undefined;
  readonly downloads: LayerDownloads;
  /** The snapshotter is ours: it can make one snapshot of all layers, where it serves them all. */
  readonly atOnce?: boolean | undefined;
  readonly onLayer?: ((layer: PulledLayer) => void) | undefined;
}

// What is cleaned up when all has failed is waited for only so long.
const CLEANUP_MS = 5000;
/** As long as containerd's back-off is when it has just failed a few times. */
const DIAL_MS = 5000;
const DIAL_AGAIN_MS = 250;

/**
 * Makes the snapshots of an image's layers, bottom first, as containerd's unpacker does: one that the
 * snapshotter makes by itself costs no download; from the first one that it does not, all are fetched.
 */
export async function prepareLayers(options: PrepareLayersOptions): Promise<PulledLayer[]> {
  const { layers, diffIds, space, signal } = options;
  const snapshots = space.snapshots(options.snapshotter);
  const chains = chainIds(diffIds);
  const present = await countPresent(snapshots, { chains, signal });
  await keep(space, { snapshotter: options.snapshotter, chainId: chains[present - 1], signal });
  if (options.atOnce === true && present < chains.length) {
    const pulled = await prepareAtOnce(snapshots, options);
    if (pulled !== undefined) return pulled;
  }
  const statuses: Promise<PulledLayer>[] = [];
  for (const [position, chainId] of chains.entries()) {
    const descriptor = layers[position];
    const diffId = diffIds[position];
    if (descriptor === undefined || diffId === undefined) throw new Error("a layer is missing");
    const tell = (status: LayerStatus): PulledLayer => {
      const layer = { descriptor, chainId, status };
      options.onLayer?.(layer);
      return layer;
    };
    if (position < present) {
      statuses.push(Promise.resolve(tell("present")));
      continue;
    }
    const prepared = await prepare(snapshots, {
      ...options,
      chainId,
      parent: chains[position - 1],
      layers: [descriptor, ...layers.slice(position + 1)],
    });
    if (prepared === undefined) {
      // Asked beside the next Prepare, which fails by itself where this one's snapshot is missing.
      const status = statusOf(snapshots, chainId, { signal }).then(tell);
      status.catch(() => undefined);
      statuses.push(status);
      continue;
    }
    options.downloads.start(layers.slice(position), { signal });
    const layer = { descriptor, diffId, chainId, labels: prepared.labels };
    await unpack(snapshots, { ...options, ...prepared, layer });
    statuses.push(Promise.resolve(tell("unpacked")));
  }
  return await Promise.all(statuses);
}

/**
 * One snapshot for all layers, of the topmost's name, which is the one that containers stand on: each
 * Prepare costs containerd two transactions that it syncs. `undefined` when it cannot be had.
 */
async function prepareAtOnce(
  snapshots: SnapshotsClient,
  options: PrepareLayersOptions,
): Promise<PulledLayer[] | undefined> {
  const { layers, diffIds, onLayer, signal } = options;
  const chains = chainIds(diffIds);
  const [top, chainId] = [layers.at(-1), chains.at(-1)];
  if (top === undefined || chainId === undefined) return undefined;
  const parent = undefined;
  const labels = { [WHOLE_IMAGE_LABEL]: "true" };
  const prepared = await prepare(snapshots, { ...options, chainId, parent, layers: [top], labels });
  if (prepared !== undefined) {
    await forget(snapshots, prepared.key);
    return undefined;
  }
  const status = await statusOf(snapshots, chainId, { signal });
  return layers.map((descriptor, position) => {
    const layer = { descriptor, chainId: chains[position] ?? chainId, status };
    onLayer?.(layer);
    return layer;
  });
}

/** How many layers are there, from the bottom: of a snapshot that is there its parents are, too. */
async function countPresent(
  snapshots: SnapshotsClient,
  { chains, signal }: WaitOptions & { readonly chains: readonly Digest[] },
): Promise<number> {
  const isThere = async (chain: Digest): Promise<boolean> =>
    (await snapshots.stat(chain, { signal })) !== undefined;
  const [bottom, top] = [chains[0], chains.at(-1)];
  if (bottom === undefined || top === undefined) return 0;
  // Nearly always it is none of them, or all.
  const [hasBottom, hasTop] = await Promise.all([isThere(bottom), isThere(top)]);
  if (hasTop) return chains.length;
  if (!hasBottom) return 0;
  let [there, missing] = [1, chains.length - 1];
  while (there < missing) {
    const middle = Math.floor((there + missing) / 2);
    const chain = chains[middle];
    if (chain !== undefined && (await isThere(chain))) there = middle + 1;
    else missing = middle;
  }
  return there;
}

/** Puts a snapshot that was there into the lease: until the image names it nothing else may keep it. */
async function keep(
  { leases, lease }: ContainerdNamespace,
  {
    snapshotter,
    chainId,
    signal,
  }: WaitOptions & { readonly snapshotter: string; readonly chainId: Digest | undefined },
): Promise<void> {
  if (lease === undefined || chainId === undefined) return;
  const resource = { id: chainId, type: `snapshots/${snapshotter}` };
  await leases.addResource(lease, { resource, signal });
}

interface Prepared {
  readonly key: string;
  readonly mounts: readonly Mount[];
  readonly labels: Labels;
}

/** `undefined` when the snapshot is there now, without our help. */
async function prepare(
  snapshots: SnapshotsClient,
  {
    chainId,
    parent,
    imageName,
    manifest,
    layers,
    index,
    labels: more = {},
    signal,
  }: Omit<PrepareLayersOptions, "layers"> & {
    readonly labels?: Labels;
    readonly chainId: Digest;
    readonly parent: Digest | undefined;
    readonly layers: readonly [Descriptor, ...Descriptor[]];
  },
): Promise<Prepared | undefined> {
  const labels = { ...layerLabels({ chainId, imageName, manifest, layers, index }), ...more };
  const key = `extract-${uniquePart()} ${chainId}`;
  try {
    const options = { labels, signal, ...(parent === undefined ? {} : { parent }) };
    const mounts = await whenDialled(() => snapshots.prepare(key, options), { signal });
    return { key, labels, mounts };
  } catch (error) {
    if (isKind(error, "already-exists")) return undefined;
    // Whether it came to be is not known: nobody else will take it away.
    if (signal?.aborted === true) await forget(snapshots, key);
    throw error;
  }
}

/**
 * containerd that has found nobody at the snapshotter's socket does not look again for a while, also
 * when somebody listens there by now.
 */
async function whenDialled<T>(call: () => Promise<T>, { signal }: WaitOptions): Promise<T> {
  for (const end = performance.now() + DIAL_MS; ;) {
    try {
      return await call();
    } catch (error) {
      const isDialling = isKind(error, "unavailable") && /\bdial\b/.test(error.message);
      if (!isDialling || performance.now() > end) throw error;
      await delay(DIAL_AGAIN_MS, { signal });
    }
  }
}

async function statusOf(
  snapshots: SnapshotsClient,
  chainId: Digest,
  { signal }: WaitOptions,
): Promise<LayerStatus> {
  const info = await snapshots.stat(chainId, { signal });
  if (info === undefined) {
    throw new SociError(
      "unavailable",
      `Cannot use snapshotter "${snapshots.snapshotter}": it says that snapshot ${chainId} exists, and then that it does not`,
    );
  }
  return info.labels[REMOTE_SNAPSHOT_LABEL] === undefined ? "prepared" : "lazy";
}

async function unpack(
  snapshots: SnapshotsClient,
  {
    key,
    mounts,
    layer: { descriptor, diffId, chainId, labels },
    space,
    downloads,
    signal,
  }: Prepared &
    Pick<PrepareLayersOptions, "space" | "downloads" | "signal"> & {
      readonly layer: {
        readonly descriptor: Descriptor;
        readonly diffId: Digest;
        readonly chainId: Digest;
        readonly labels: Labels;
      };
    },
): Promise<void> {
  try {
    await downloads.get(descriptor, { signal });
    const { mediaType, digest, size } = descriptor;
    const diff = { mediaType, digest, size, annotations: {} };
    const applied = await space.diff.apply(diff, { mounts, signal });
    if (applied.digest !== diffId) {
      throw new SociError(
        "data-loss",
        `Cannot unpack layer ${digest}: uncompressed it is ${applied.digest}, want ${diffId} as the image's config says`,
      );
    }
    await snapshots.commit(key, { name: chainId, labels, signal });
  } catch (error) {
    await forget(snapshots, key);
    // Somebody else was faster: the snapshot is the same.
    if (!isKind(error, "already-exists")) throw error;
  }
  const label = uncompressedLabels(diffId);
  await space.content.setLabels(descriptor.digest, { labels: label, signal });
}

/** Takes away what was not committed. A failure is nobody's: the lease ends with the pull, and with it the snapshot. */
async function forget(snapshots: SnapshotsClient, key: string): Promise<void> {
  await snapshots.remove(key, { signal: AbortSignal.timeout(CLEANUP_MS) }).catch(() => undefined);
}

/** No two pulls have the same. */
function uniquePart(): string {
  return `${process.hrtime.bigint() % 1_000_000_000n}-${randomBytes(4).toString("base64url")}`;
}
