import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { defaultServeCap } from "../cache/default-cap.ts";
import { LayerCache } from "../cache/layer-cache.ts";
import { systemFailure } from "../cache/system-failure.ts";
import type { Config } from "../config/config.ts";
import { SNAPSHOTS_SERVICE } from "../containerd/api/snapshots.ts";
import { ContainerdClient } from "../containerd/containerd-client.ts";
import { SociError } from "../errors.ts";
import { SpanScheduler } from "../fetch/span-scheduler.ts";
import type { Logger } from "../observability/log.ts";
import { Metrics } from "../observability/metrics.ts";
import { refuseForeignRoot } from "../snapshotter/foreign-root.ts";
import { snapshotsService } from "../snapshotter/grpc-service.ts";
import { Metastore } from "../snapshotter/metastore.ts";
import { Snapshotter } from "../snapshotter/snapshotter.ts";
import { StoreOnDemand } from "../soci/store-on-demand.ts";
import { sysDiscard } from "../sys/libc.ts";
import { InflatePool } from "../threads/inflate-pool.ts";
import { checkSupported } from "./check-supported.ts";
import { daemonService } from "./daemon-api.ts";
import { GrpcListener } from "./grpc-listener.ts";
import { fuseThreadCount } from "./fuse-thread-count.ts";
import { ImageService } from "./image-service.ts";
import { imagesOfSnapshotter } from "./images-of-snapshotter.ts";
import { type Health, MetricsServer } from "./metrics-server.ts";
import { KeeperLink } from "./keeper-link.ts";
import { MountRecords } from "./mount-records.ts";
import type { MountThreads } from "./mount-threads.ts";
import { openRegistryAccess } from "./open-registry-access.ts";
import { lockRoot } from "./root-lock.ts";
import { parseSocketAddress } from "./socket-address.ts";
import { takeMounts } from "./taken-mounts.ts";
import { WarmThreads } from "./warm-threads.ts";
import type { MountType } from "./unmount-image.ts";

export interface ServeOptions extends WaitOptions {
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Effective user id. */
  readonly uid: number;
  readonly threads: MountThreads;
  readonly userAgent: string;
  /** The program and what goes before its command line, to start the keeper of mounts; without it there is none. */
  readonly self?: readonly string[] | undefined;
  /** False: as on a kernel that cannot be asked for what a former server has left. Default true. */
  readonly resends?: boolean | undefined;
  /** Whether mounts end with the daemon, also those in use. Default: they wait for the next one. */
  readonly drains?: boolean | undefined;
  /** As mounts are listed. */
  readonly mountType: MountType;
  /** Where to listen when systemd was to pass a socket, and passes none. */
  readonly fallbackSocket: string;
  /** Calls are answered, at this socket. */
  readonly onReady: (socket: string) => void;
  /** It has been told to end; calls are answered for a moment longer. */
  readonly onStopping: () => void;
  readonly log: Logger;
}

/** As its documents have containerd call it. */
const GO_SNAPSHOTTER = "soci";
const ASK_MS = 5000;
/** Not while an image is being pulled. */
const REFILL_MS = 3000;

/**
 * containerd's remote snapshotter, until the signal aborts. What containers use stays mounted, and waits
 * for the next one, which goes on where this has ended.
 * @throws failed-precondition when it cannot be served from this root or at this address
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { config, threads, env, drains = false, log, signal } = options;
  const { root } = config;
  // Until then a keeper holds what the daemon before has left.
  let isServing = false;
  const address = parseSocketAddress(config.address);
  await using resources = new AsyncDisposableStack();
  makeRoot(root);
  await refuseRootOfOthers(options);
  resources.use(lockRoot(root));
  // Of another version it is refused here, before anything is taken over.
  const metastore = resources.use(Metastore.open(join(root, "snapshots.sqlite")));
  const keeper = keeperOf(options);
  if (keeper !== undefined) resources.use(keeper);
  const taken = await takeMounts({
    directory: join(root, "mnt"),
    takeHeld: async () => (await keeper?.takeAll()) ?? [],
    records: new MountRecords(root),
    log,
  });
  // Who waits for a mount that is taken over waits for its threads, too; and so does a first container.
  const fuseThreads = resources.use(
    new WarmThreads({
      spawn: threads.spawnFuse,
      count: Math.max(1, taken.mounts.size) * fuseThreadCount(config),
    }),
  );
  const tablesThreads = resources.use(
    new WarmThreads({ spawn: threads.spawnTables, count: 1, refillMs: REFILL_MS }),
  );
  keeper?.warm();
  if (!config.skipCheckSnapshotterSupported) checkSupported(root);
  await new MountRecords(root).sweep();
  const metrics = new Metrics();
  const cache = resources.use(
    await LayerCache.open({
      root,
      capBytes: config.cache.size === 0 ? defaultServeCap(root) : config.cache.size,
      onEviction: ({ spans }) =>
        metrics.evicted(spans === undefined ? "layer" : "span", spans ?? 1),
      log,
    }),
  );
  const access = resources.use(await openRegistryAccess(options));
  const containerd = resources.use(new ContainerdClient(config.containerd.address));
  const store = resources.use(await StoreOnDemand.open({ root, signal }));
  const inflate = resources.use(
    new InflatePool({ spawn: threads.spawnInflate, count: availableParallelism() }),
  );
  const scheduler = new SpanScheduler({
    filler: inflate,
    cache,
    deadlineMs: config.cache.readTimeoutSec * 1000,
    log,
    discard: (bytes) => void sysDiscard(bytes),
  });
  const { registries } = access;
  const images = resources.use(
    new ImageService({
      ...options,
      threads: {
        ...threads,
        spawnFuse: () => fuseThreads.take(),
        spawnTables: () => tablesThreads.take(),
      },
      root,
      cache,
      scheduler,
      registries,
      containerd,
      store,
      metrics,
      taken,
      keeper,
      leaves: () => !drains && (isServing ? keeper?.isKeeping === true : taken.mounts.size > 0),
    }),
  );
  const snapshotter = resources.use(
    await Snapshotter.open({
      root,
      metastore,
      mounter: images.mounter,
      log,
      events: { layerRefused: (reason) => metrics.fellBack(reason) },
    }),
  );
  await images.endUnused();
  // From now on all that is mounted outlives this process.
  await keeper?.connect();
  isServing = true;
  metrics.watch(() => images.state());
  const listener = resources.use(
    await GrpcListener.listen({
      address,
      fallbackPath: options.fallbackSocket,
      services: [
        {
          definition: SNAPSHOTS_SERVICE,
          implementation: snapshotsService({ snapshotter, log }),
        },
        daemonService(images),
        ...access.services,
      ],
      env,
      log,
    }),
  );
  const exposition = async (): Promise<string> => {
    // What is counted elsewhere is carried over first.
    images.state();
    return await metrics.exposition();
  };
  for (const server of await openMonitors(options, exposition)) resources.use(server);
  images.resume();
  options.onReady(listener.path);
  await aborted(signal);
  options.onStopping();
  await keeper?.settled();
  tellOfEnd({ users: images.users(), stays: !drains && keeper?.isKeeping === true, log });
}

function keeperOf({ self, config, log }: ServeOptions): KeeperLink | undefined {
  if (self === undefined) return undefined;
  return new KeeperLink({
    root: config.root,
    self,
    timeoutMs: config.takeoverTimeoutSec * 1000,
    log,
  });
}

/** What the end of the daemon means for containers. */
function tellOfEnd({
  users,
  stays,
  log,
}: {
  readonly users: readonly string[];
  readonly stays: boolean;
  readonly log: Logger;
}): void {
  if (users.length === 0) return;
  if (stays) {
    log.info("mounts in use wait for the next daemon", { snapshots: users.length });
  } else {
    log.warn("containers lose their file system", { snapshots: users });
  }
}

/** Of the Go snapshotter; which images are to go first is said where containerd tells. */
async function refuseRootOfOthers({ config, log, signal }: ServeOptions): Promise<void> {
  try {
    await refuseForeignRoot(config.root);
  } catch (error) {
    if (!(error instanceof SociError) || error.hint === undefined) throw error;
    await using client = new ContainerdClient(config.containerd.address);
    const images = await imagesOfSnapshotter(client, {
      snapshotter: GO_SNAPSHOTTER,
      signal: signal === undefined ? AbortSignal.timeout(ASK_MS) : signal,
    }).catch((cause: unknown) => {
      // It may not run; what is wrong with the root is said all the same.
      log.debug("containerd does not tell its images", { error: cause });
      return [];
    });
    if (images.length === 0) throw error;
    throw new SociError(error.kind, error.message, {
      cause: error,
      hint: `${error.hint}. Its images: ${images.join(", ")}`,
    });
  }
}

function makeRoot(root: string): void {
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw systemFailure(`make the state directory "${root}"`, error);
  }
}

/** Metrics and health, at the addresses that the configuration names, which may be one. */
async function openMonitors(
  { config, log }: ServeOptions,
  exposition: () => Promise<string>,
): Promise<readonly MetricsServer[]> {
  await using opened = new AsyncDisposableStack();
  const health = (): Health => ({ isHealthy: true, details: { root: config.root } });
  const places = [
    {
      address: config.metricsAddress,
      network: config.metricsNetwork,
      exposition: config.noPrometheus ? undefined : exposition,
    },
    { ...config.health, exposition: undefined },
  ];
  const servers: MetricsServer[] = [];
  for (const place of places) {
    if (place.address === "") continue;
    const server = opened.use(await MetricsServer.listen({ ...place, health, log }));
    servers.push(server);
    log.info("metrics and health are served", { address: server.address });
  }
  opened.move();
  return servers;
}

async function aborted(signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal?.aborted === true) resolve();
    signal?.addEventListener("abort", () => resolve(), { once: true });
  });
}
