import { availableParallelism } from "node:os";
import type { WaitOptions } from "../async/wait-options.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import { LayerCache } from "../cache/layer-cache.ts";
import { leaseTable } from "../cache/table-file.ts";
import { SpanScheduler } from "../fetch/span-scheduler.ts";
import { prepareImage } from "../image/prepare-image.ts";
import type { PreparedImage } from "../image/prepared-image.ts";
import { reopenImage } from "../image/reopen-image.ts";
import { refetchWhole } from "../image/refetch-whole.ts";
import type { Logger } from "../observability/log.ts";
import { RepeatGate } from "../observability/repeat-gate.ts";
import type { Descriptor, Platform } from "../oci/descriptor.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { ExplicitIndex } from "../soci/discover.ts";
import { StoreOnDemand } from "../soci/store-on-demand.ts";
import { sysDiscard } from "../sys/libc.ts";
import { InflatePool } from "../threads/inflate-pool.ts";
import { IngestWorkers } from "../threads/ingest-workers.ts";
import { TablesWorker } from "../threads/tables-worker.ts";
import type { ConnectionKeeper } from "./fuse-connection.ts";
import { ImageFill } from "./image-fill.ts";
import { FUSE_THREADS, ImageMount } from "./image-mount.ts";
import { MountRecords } from "./mount-records.ts";
import { MountedImage } from "./mounted-image.ts";
import type { MountThreads } from "./mount-threads.ts";

/** Told of layers that are downloaded whole. */
export interface StreamedProgress {
  add(bytes: number): void;
  end(): void;
}

export interface MountImageOptions extends WaitOptions {
  readonly source: ImageSource;
  /** Absolute, without symlinks. */
  readonly directory: string;
  /** Shown as the mount's source. */
  readonly name: string;
  /** The state root. */
  readonly root: string;
  readonly platform?: Platform | undefined;
  readonly index?: ExplicitIndex | undefined;
  readonly suid?: boolean;
  readonly dev?: boolean;
  readonly allowOther: boolean;
  /** Most that the cache may take; by default what ad hoc mounts may. */
  readonly capBytes?: number | undefined;
  /** How long a read may wait. */
  readonly readTimeoutMs: number;
  readonly threads: MountThreads;
  readonly log: Logger;
  readonly onStreamed: (layers: readonly Descriptor[], isIndexed: boolean) => StreamedProgress;
  /** Has a copy of the connection, so that another process can go on. */
  readonly keeper?: ConnectionKeeper | undefined;
  /** As FuseInitOptions. */
  readonly resends?: boolean | undefined;
  /**
   * Instead of mounting: a mount that another process served. It is served where that one has made it
   * and by what that one has written down; the image is not looked up again.
   */
  readonly taken?: { readonly fd: number; readonly device: string } | undefined;
}

/** Prepares an image in the cache, mounts it and serves the mount. @throws what any of it throws */
export async function mountImage(options: MountImageOptions): Promise<MountedImage> {
  const { root, source, name, threads, log, signal, taken } = options;
  await using resources = new AsyncDisposableStack();
  const cores = availableParallelism();
  // The first request is on its way before anything else takes time; prepare() gets its answer.
  if (taken === undefined) source.root({ signal }).catch(() => undefined);
  const cache = resources.use(await LayerCache.open({ root, capBytes: options.capBytes, log }));
  const ingesters = resources.use(
    new IngestWorkers({ spawn: threads.spawnIngest, count: cores, cacheRoot: cache.root }),
  );
  const records = new MountRecords(root);
  await records.sweep();
  const record = taken === undefined ? undefined : await records.read(taken.device);
  const preparing =
    record === undefined ? prepare(cache, ingesters, options) : reopenImage({ cache, ...record });
  resources.defer(async () => {
    const [outcome] = await Promise.allSettled([preparing]);
    if (outcome.status === "fulfilled") await outcome.value[Symbol.asyncDispose]();
  });
  // Threads load their code while the network is waited for.
  const ports = Array.from({ length: FUSE_THREADS }, () => threads.spawnFuse());
  resources.defer(() => {
    for (const port of ports) port.terminate();
  });
  const inflate = resources.use(new InflatePool({ spawn: threads.spawnInflate, count: cores }));
  const prepared = await preparing;
  inflate.warm();
  const refetches = new Set<Promise<void>>();
  // What was given up with its last reader still has files of the layers open.
  resources.defer(async () => void (await Promise.allSettled(refetches)));
  // Gone before the layers and their descriptors, so made behind them.
  const scheduler = resources.use(
    new SpanScheduler({
      filler: inflate,
      cache,
      deadlineMs: options.readTimeoutMs,
      log,
      discard: (bytes) => void sysDiscard(bytes),
    }),
  );
  // The tree must be there for whoever goes on serving the mount.
  resources.use(leaseTable(prepared.treePath));
  const gate = new RepeatGate();
  const mountOptions = {
    directory: record?.directory ?? options.directory,
    name,
    prepared,
    source,
    scheduler,
    ports,
    refetchWhole: async (layer: CachedLayer, descriptor: Descriptor, signal: AbortSignal) => {
      const { ingest } = ingesters;
      const refetch = refetchWhole(layer, { descriptor, source, cache, ingest, log, signal });
      refetches.add(refetch);
      try {
        await refetch;
      } catch (error) {
        // A reader that tries again and again must not fill the disk.
        if (!signal.aborted && gate.lets(layer.digest)) {
          log.error("layer cannot be had", { layer: layer.digest, source: source.name, error });
        }
        throw error;
      } finally {
        refetches.delete(refetch);
      }
    },
    suid: options.suid ?? false,
    dev: options.dev ?? false,
    allowOther: options.allowOther,
    records,
    root,
    keeper: options.keeper,
    resends: options.resends,
    cacheRoot: cache.root,
    log,
  };
  signal?.throwIfAborted();
  const mount = resources.use(
    taken === undefined || record === undefined
      ? await ImageMount.open(mountOptions)
      : await ImageMount.takeOver(mountOptions, { fd: taken.fd, record }),
  );
  return new MountedImage({
    mount,
    fill: new ImageFill({ scheduler, layers: mount.layerNumbers, log }),
    resources: resources.move(),
  });
}

async function prepare(
  cache: LayerCache,
  { ingest }: IngestWorkers,
  { source, root, platform, index, threads, log, onStreamed, signal }: MountImageOptions,
): Promise<PreparedImage> {
  await using store = await StoreOnDemand.open({ root, signal });
  const progress: StreamedProgress[] = [];
  try {
    return await prepareImage({
      source,
      cache,
      store,
      platform,
      index,
      startTables: () => new TablesWorker({ spawn: threads.spawnTables, cacheRoot: cache.root }),
      ingest,
      log,
      onStreamed: (layers, isIndexed) => progress.push(onStreamed(layers, isIndexed)),
      onBytes: (count) => progress.at(-1)?.add(count),
      signal,
    });
  } finally {
    for (const item of progress) item.end();
  }
}
