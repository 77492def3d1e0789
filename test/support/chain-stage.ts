import { join } from "node:path";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { treesDirectory } from "../../src/cache/cache-paths.ts";
import { ChainMount, type ChainMountOptions } from "../../src/daemon/chain-mount.ts";
import { MountRecords } from "../../src/daemon/mount-records.ts";
import { type ServedLayerLease, ServedLayers } from "../../src/daemon/served-layers.ts";
import { TableNumbers } from "../../src/daemon/table-numbers.ts";
import { SpanScheduler } from "../../src/fetch/span-scheduler.ts";
import { chainKeyOf } from "../../src/image/image-layers.ts";
import { prepareImage } from "../../src/image/prepare-image.ts";
import type { PreparedLayer } from "../../src/image/prepared-image.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import type { ImageSource } from "../../src/oci/image-source.ts";
import { StoreOnDemand } from "../../src/soci/store-on-demand.ts";
import { InflatePool } from "../../src/threads/inflate-pool.ts";
import { IngestWorkers } from "../../src/threads/ingest-workers.ts";
import { TablesWorker } from "../../src/threads/tables-worker.ts";
import {
  spawnFuseWorker,
  spawnInflateWorker,
  spawnIngestWorker,
  spawnTablesWorker,
} from "../../src/workers.ts";

export interface ChainStageOptions {
  readonly image: string;
  /** The state root. */
  readonly root: string;
}

/** A chain, ready to be shown. */
export interface StagedChain {
  readonly treeKey: string;
  readonly treePath: string;
  readonly layers: readonly ServedLayerLease[];
}

type Parts = Pick<
  ChainStage,
  "root" | "cache" | "source" | "scheduler" | "served" | "numbers" | "layers" | "records" | "logged"
> & { readonly tables: TablesWorker };

/** An image in the cache, its layers served, and what ChainMounts of them need: all in this process, so nothing here may look into a mount. */
export class ChainStage implements AsyncDisposable {
  readonly root: string;
  readonly cache: LayerCache;
  readonly source: ImageSource;
  readonly scheduler: SpanScheduler;
  readonly served: ServedLayers;
  readonly numbers: TableNumbers;
  readonly records: MountRecords;
  /** Of the image, bottom first. */
  readonly layers: readonly PreparedLayer[];
  readonly logged: LogRecord[];
  readonly #tables: TablesWorker;
  readonly #resources: AsyncDisposableStack;

  private constructor(parts: Parts, resources: AsyncDisposableStack) {
    this.root = parts.root;
    this.cache = parts.cache;
    this.source = parts.source;
    this.scheduler = parts.scheduler;
    this.served = parts.served;
    this.numbers = parts.numbers;
    this.records = parts.records;
    this.layers = parts.layers;
    this.logged = parts.logged;
    this.#tables = parts.tables;
    this.#resources = resources;
  }

  static async open({ image, root }: ChainStageOptions): Promise<ChainStage> {
    await using resources = new AsyncDisposableStack();
    const logged: LogRecord[] = [];
    const log = createLogger({ sink: (record) => logged.push(record) });
    const source = resources.use(await openImageSource(image));
    const cache = resources.use(await LayerCache.open({ root, log }));
    const ingesters = resources.use(
      new IngestWorkers({ spawn: spawnIngestWorker, count: 1, cacheRoot: cache.root }),
    );
    const startTables = () => new TablesWorker({ spawn: spawnTablesWorker, cacheRoot: cache.root });
    const tables = resources.use(startTables());
    await using store = await StoreOnDemand.open({ root });
    const prepared = resources.use(
      await prepareImage({
        source,
        cache,
        store,
        platform: undefined,
        index: undefined,
        startTables,
        ingest: ingesters.ingest,
        log,
        onStreamed: () => undefined,
        onBytes: () => undefined,
        signal: undefined,
      }),
    );
    const inflate = resources.use(new InflatePool({ spawn: spawnInflateWorker, count: 1 }));
    const scheduler = resources.use(
      new SpanScheduler({ filler: inflate, cache, log, deadlineMs: 20_000 }),
    );
    const numbers = TableNumbers.open({ root, log });
    const served = new ServedLayers({ scheduler, numbers, cacheRoot: cache.root });
    const { layers } = prepared;
    const records = new MountRecords(root);
    const parts = { root, cache, source, scheduler, served, numbers, records, layers, logged };
    return new ChainStage({ ...parts, tables }, resources.move());
  }

  async acquire({ descriptor, layer }: PreparedLayer): Promise<ServedLayerLease> {
    const refetchWhole = async () => {
      throw new Error("no layer of the stage is whole");
    };
    return await this.served.acquire({ descriptor, layer, source: this.source, refetchWhole });
  }

  /** A chain of some of the image's layers, which are all acquired for it. */
  async chain(...indexes: readonly number[]): Promise<StagedChain> {
    const layers: ServedLayerLease[] = [];
    for (const index of indexes) {
      const layer = this.layers[index];
      if (layer === undefined) throw new Error(`the image has no layer ${index}`);
      layers.push(await this.acquire(layer));
    }
    const keys = layers.map(({ layer }) => layer.key);
    const treeKey = chainKeyOf(keys);
    const treePath = join(treesDirectory(this.cache.root), treeKey);
    for (const key of keys) await this.#tables.addCached(key);
    await this.#tables.merge(keys, treePath);
    return { treeKey, treePath, layers };
  }

  /** Mounts; it shows nothing yet. Whoever calls disposes it before the stage. */
  async mount(
    directory: string,
    options: Partial<Pick<ChainMountOptions, "kind" | "ids" | "type">> = {},
  ): Promise<ChainMount> {
    return await ChainMount.open({
      directory,
      name: "test",
      kind: { xattrs: true, acls: false },
      numbers: this.numbers,
      records: this.records,
      root: this.root,
      ports: [spawnFuseWorker(), spawnFuseWorker()],
      cacheRoot: this.cache.root,
      log: createLogger({ sink: (record) => this.logged.push(record) }),
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
