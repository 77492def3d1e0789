import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Semaphore } from "../async/semaphore.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import type { Config } from "../config/config.ts";
import type { ContainerdClient } from "../containerd/containerd-client.ts";
import type { SpanScheduler } from "../fetch/span-scheduler.ts";
import { ByteBudget } from "../image/byte-budget.ts";
import { ImagePreparation } from "../image/image-preparation.ts";
import { failureOf } from "../image/layer-outcome.ts";
import { ensureTree } from "../image/prepared-tree.ts";
import type { PreparingStore } from "../image/preparation-options.ts";
import { refetchWhole } from "../image/refetch-whole.ts";
import type { Logger } from "../observability/log.ts";
import type { DaemonState, Metrics } from "../observability/metrics.ts";
import { RepeatGate } from "../observability/repeat-gate.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { LayerMounter, ServedLayer } from "../snapshotter/layer-mounter.ts";
import { sysClose } from "../sys/libc.ts";
import { IngestWorkers } from "../threads/ingest-workers.ts";
import { TablesWorker } from "../threads/tables-worker.ts";
import { BackgroundFilling } from "./background-filling.ts";
import { ChainMount, type ChainMountOptions } from "./chain-mount.ts";
import { collectGarbage } from "./collect-garbage.ts";
import type { AnnouncedImage, DaemonCalls, LayerReport } from "./daemon-api.ts";
import { FallbackSource } from "./fallback-source.ts";
import { type ConnectionKeeper, FuseConnection } from "./fuse-connection.ts";
import { fuseThreadCount } from "./fuse-thread-count.ts";
import { ImageFollowUp } from "./image-follow-up.ts";
import { type ImageName, ImageSessions } from "./image-sessions.ts";
import { LayerStock } from "./layer-stock.ts";
import { layerReportOf, layerSizesOf } from "./layer-reports.ts";
import { LazyLayers } from "./lazy-layers.ts";
import { manifestsIn } from "./containerd-manifests.ts";
import { MountRecords } from "./mount-records.ts";
import type { MountThreads } from "./mount-threads.ts";
import { ReadTotals } from "./read-totals.ts";
import { RememberedRefusals } from "./remembered-refusals.ts";
import type { RegistryAccess } from "./registry-access.ts";
import { type ServedLayerLease, ServedLayers } from "./served-layers.ts";
import { type StackKind, StackMounts } from "./stack-mounts.ts";
import { TableNumbers } from "./table-numbers.ts";
import type { TakenMount, TakenMounts } from "./taken-mounts.ts";
import type { MountType } from "./unmount-image.ts";

export interface ImageServiceOptions {
  readonly config: Config;
  /** The state root. */
  readonly root: string;
  readonly threads: MountThreads;
  /** As mounts are listed. */
  readonly mountType: MountType;
  readonly cache: LayerCache;
  /** Ended by the service, before the layers that it fetches. */
  readonly scheduler: SpanScheduler;
  readonly registries: RegistryAccess;
  /** Where manifests may be that a pull has just written. */
  readonly containerd: ContainerdClient;
  /** Indexes and zTOCs that were made on this host. */
  readonly store: Omit<PreparingStore, "putZtoc">;
  readonly metrics: Metrics;
  /** What the daemon before has left. */
  readonly taken?: TakenMounts | undefined;
  /** Has a copy of every connection. */
  readonly keeper?: ConnectionKeeper | undefined;
  /** As ChainMountOptions. */
  readonly resends?: boolean | undefined;
  /** Whether mounts in use are left to the next daemon at the end. Default: none are. */
  readonly leaves?: () => boolean;
  readonly log: Logger;
}

/** A stack that is shown ahead stays so long for the container that it was shown for. */
const AHEAD_MS = 60_000;
/** Of zTOCs of all images at once: four times what one may have, so that none keeps others waiting. */
const ZTOC_BYTES = 192 << 20;

/** All that stands behind the snapshotter: images found, fetched, cached and shown. */
export class ImageService implements DaemonCalls, AsyncDisposable {
  readonly #options: ImageServiceOptions;
  readonly #log: Logger;
  readonly #sessions: ImageSessions;
  readonly #stock: LayerStock;
  readonly #mounts: StackMounts;
  readonly #layers: LazyLayers;
  readonly #filling: BackgroundFilling | undefined;
  readonly #followUp: ImageFollowUp;
  readonly #served: ServedLayers;
  readonly #ingesters: IngestWorkers;
  readonly #refusals = new RememberedRefusals();
  readonly #totals: ReadTotals;
  readonly #refetches = new Set<Promise<void>>();
  readonly #gate = new RepeatGate();
  /** Mounts of the daemon before, by directory, until they are needed. */
  readonly #taken: Map<string, TakenMount>;
  readonly #downloads: Semaphore | undefined;
  readonly #ztocMemory = new ByteBudget(ZTOC_BYTES);
  readonly #aheads = new Map<string, NodeJS.Timeout>();
  #lastAhead = 0;

  constructor(options: ImageServiceOptions) {
    const { config, root, threads, mountType, cache, scheduler, metrics, log } = options;
    this.#options = options;
    this.#log = log;
    this.#totals = new ReadTotals(metrics);
    const { maxConcurrentDownloads } = config.pullModes.parallelPullUnpack;
    this.#downloads =
      maxConcurrentDownloads > 0 ? new Semaphore(maxConcurrentDownloads) : undefined;
    this.#ingesters = new IngestWorkers({
      spawn: threads.spawnIngest,
      count: availableParallelism(),
      cacheRoot: cache.root,
    });
    this.#sessions = new ImageSessions({
      openSource: (name) => this.#openSource(name),
      prepare: (name, source, onStreamed) => this.#prepare(name, source, onStreamed),
      log,
    });
    const records = new MountRecords(root);
    this.#taken = new Map(options.taken?.mounts);
    // Without a mount that was there before nobody knows numbers of before.
    const numbers = TableNumbers.open({ root, isFresh: this.#taken.size === 0, log });
    this.#served = new ServedLayers({ scheduler, numbers, cacheRoot: cache.root });
    this.#stock = new LayerStock({
      cache,
      serve: (served, layer, images) => this.#serve(served, layer, images),
      recover: (served) => this.#recover(served),
      log,
    });
    this.#filling = config.backgroundFetch.disable
      ? undefined
      : new BackgroundFilling({ scheduler, log });
    this.#mounts = new StackMounts({
      directory: join(root, "mnt"),
      open: (directory, { ids, ...kind }: StackKind) =>
        this.#open({
          directory,
          name: "soci",
          type: mountType,
          kind,
          ids,
          numbers,
          records,
          cacheRoot: cache.root,
          root,
          resends: options.resends,
          keeper: options.keeper,
          ports: Array.from({ length: fuseThreadCount(config) }, threads.spawnFuse),
          log,
        }),
      log,
    });
    this.#followUp = new ImageFollowUp({
      stock: this.#stock,
      scheduler,
      filling: this.#filling,
      prefetches: config.prefetch.enable,
      showAhead: (layers) => this.#showAhead(layers),
      log,
    });
    this.#layers = new LazyLayers({
      sessions: this.#sessions,
      stock: this.#stock,
      mounts: this.#mounts,
      openTree: (layers) => ensureTree({ cache, layers, startTables: () => this.#startTables() }),
      onServed: (session, chain, layer) => this.#followUp.answered(session, chain, layer),
      collect: () => this.#collect(),
      events: {
        served: (layer, ms) => {
          metrics.took("mount", ms, layer);
          this.#refusals.forget(layer);
        },
        refused: (layer, reason, detail) => this.#refusals.add(layer, `${reason}: ${detail}`),
        shown: (_layers, ms) => metrics.took("fuse_mount", ms),
      },
      timeoutMs: config.mountTimeoutSec * 1000,
      lost: options.taken?.lost,
      log,
    });
  }

  /** What the snapshotter talks to. */
  get mounter(): LayerMounter {
    return this.#layers;
  }

  /** For metrics. */
  state(): DaemonState {
    const { cache, scheduler } = this.#options;
    this.#totals.carry(scheduler);
    return {
      layers: layerSizesOf(this.#stock, join(this.#options.root, "mnt")),
      cacheUsedBytes: cache.knownUsedBytes,
      cacheCapBytes: cache.capBytes,
      mountedImages: this.#mounts.count,
    };
  }

  /** After a start: what was being filled goes on. */
  resume(): void {
    if (this.#filling === undefined) return;
    for (const key of this.#stock.keys) {
      this.#stock.get(key).then(
        ({ lease, layer }) => {
          if (!layer.isComplete) this.#filling?.start(lease.number);
        },
        // It has been said that it cannot be opened.
        () => undefined,
      );
    }
  }

  async explain(layers: readonly Digest[]): Promise<readonly LayerReport[]> {
    const known = { stock: this.#stock, stacks: this.#layers, refusals: this.#refusals };
    return layers.map((digest) => layerReportOf(digest, known));
  }

  announce({ namespace, imageReference, manifestDigest }: AnnouncedImage): void {
    this.#sessions.announce({ namespace, imageReference, manifestDigest, indexDigest: undefined });
  }

  /** After a start: mounts of the daemon before that nobody uses any more are taken away. */
  async endUnused(): Promise<void> {
    for (const [directory, { fd, record }] of this.#taken) {
      this.#taken.delete(directory);
      const { type, device, negotiated } = record;
      const facts = { fd, directory, type, device, negotiated };
      this.#log.info("mount of the daemon before has no user", { directory });
      await new FuseConnection(facts, this.#options)[Symbol.asyncDispose]();
    }
  }

  /** Snapshots that use what is shown. */
  users(): readonly string[] {
    return this.#layers.users();
  }

  /** Takes everything away that is shown, or leaves what is in use. The snapshotter must be closed before. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#aheads.values()) clearTimeout(timer);
    for (const { fd } of this.#taken.values()) sysClose(fd);
    this.#taken.clear();
    await using ending = new AsyncDisposableStack();
    ending.defer(async () => void (await Promise.allSettled(this.#refetches)));
    ending.use(this.#ingesters);
    ending.use(this.#options.scheduler);
    ending.use(this.#stock);
    ending.use(this.#mounts);
    ending.use(this.#layers);
    if (this.#options.leaves?.() === true) ending.defer(() => this.#layers.leave());
    ending.use(this.#sessions);
    this.#followUp[Symbol.dispose]();
    this.#filling?.[Symbol.dispose]();
  }

  async #open(options: ChainMountOptions): Promise<ChainMount> {
    const totals = this.#totals;
    const onAnswered = totals.answered.bind(totals);
    const taken = this.#taken.get(options.directory);
    this.#taken.delete(options.directory);
    const mount =
      taken === undefined
        ? await ChainMount.open({ ...options, onAnswered })
        : await ChainMount.takeOver({ ...options, onAnswered }, taken);
    totals.watch(mount);
    return mount;
  }

  async #openSource({ imageReference, manifestDigest }: ImageName): Promise<ImageSource> {
    return await this.#options.registries.openSource({ imageReference, manifestDigest });
  }

  #prepare(
    { namespace, manifestDigest, indexDigest }: ImageName,
    source: ImageSource,
    onStreamed: (layer: Digest) => void,
  ): ImagePreparation {
    const { config, cache, store, log } = this.#options;
    const { sociV1, sociV2, parallelPullUnpack: parallel } = config.pullModes;
    const streams =
      config.onMissingIndex === "stream" || parallel.experimentalParallelPullAsFallback;
    return ImagePreparation.start({
      source,
      cache,
      manifestDigest,
      manifests: manifestsIn(this.#options.containerd.namespace(namespace), log),
      store,
      index: indexDigest === undefined ? undefined : { digest: indexDigest },
      modes: { v1: sociV1.enable, v2: sociV2.enable, local: sociV1.enable || sociV2.enable },
      onMissingIndex: streams ? "stream" : "refuse",
      wholeOnly: parallel.enable,
      minLayerSize: config.snapshotter.minLayerSize,
      limits: {
        ztocMemory: this.#ztocMemory,
        ...(parallel.enable || parallel.experimentalParallelPullAsFallback
          ? { downloads: this.#downloads, perImage: parallel.maxConcurrentDownloadsPerImage }
          : {}),
      },
      startTables: () => this.#startTables(),
      ingest: this.#ingesters.ingest,
      onStreamed: (layers) => {
        for (const { digest } of layers) onStreamed(digest);
      },
      log,
    });
  }

  #startTables(): TablesWorker {
    const { threads, cache } = this.#options;
    return new TablesWorker({ spawn: threads.spawnTables, cacheRoot: cache.root });
  }

  async #serve(
    served: ServedLayer,
    layer: CachedLayer,
    images: () => readonly ServedLayer[],
  ): Promise<ServedLayerLease> {
    const { registries, log } = this.#options;
    const { digest, size, mediaType } = served;
    const descriptor = { digest, size, mediaType };
    await using opened = new AsyncDisposableStack();
    const source = opened.use(
      new FallbackSource({ images, open: (image) => registries.openSource(image), log }),
    );
    const lease = await this.#served.acquire({
      descriptor,
      layer,
      source,
      refetchWhole: (signal) => this.#refetch(served, layer, { source, signal }),
    });
    const held = opened.move();
    return {
      ...lease,
      [Symbol.asyncDispose]: async () => {
        this.#filling?.stop(lease.number);
        await lease[Symbol.asyncDispose]();
        await held.disposeAsync();
        this.#options.metrics.forgetLayer(digest);
      },
    };
  }

  async #refetch(
    { digest, size, mediaType }: ServedLayer,
    layer: CachedLayer,
    { source, signal }: { readonly source: ImageSource; readonly signal: AbortSignal },
  ): Promise<void> {
    const { cache, log } = this.#options;
    const { ingest } = this.#ingesters;
    const descriptor = { digest, size, mediaType };
    const refetch = refetchWhole(layer, { descriptor, source, cache, ingest, log, signal });
    this.#refetches.add(refetch);
    try {
      await refetch;
    } catch (error) {
      // A reader that tries again and again must not fill the disk.
      if (!signal.aborted && this.#gate.lets(digest)) {
        log.error("layer cannot be had", { layer: digest, source: source.name, error });
      }
      throw error;
    } finally {
      this.#refetches.delete(refetch);
    }
  }

  async #recover({
    digest,
    namespace,
    imageReference,
    manifestDigest,
  }: ServedLayer): Promise<CachedLayer> {
    const name = { namespace, imageReference, manifestDigest, indexDigest: undefined };
    return await this.#sessions.use(name, async ({ preparation }) => {
      const outcome = await preparation.layer(digest);
      if (outcome.kind === "refused") throw failureOf(outcome);
      return outcome.layer;
    });
  }

  #showAhead(layers: readonly ServedLayer[]): void {
    const holder = `ahead-${++this.#lastAhead}`;
    const timer = setTimeout(() => {
      this.#aheads.delete(holder);
      this.#layers.release(holder);
    }, AHEAD_MS);
    timer.unref();
    this.#aheads.set(holder, timer);
    this.#layers.mountStack(layers, { holder, top: holder }).catch((error: unknown) => {
      this.#log.debug("stack is not shown ahead", { error });
    });
  }

  async #collect(): Promise<void> {
    const { cache } = this.#options;
    const { cachedKeys, manifests } = this.#stock;
    const count = await collectGarbage({ cache, layers: cachedKeys, manifests });
    if (count > 0) this.#log.debug("trees that nothing holds are removed", { count });
  }
}
