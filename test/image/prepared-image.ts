import { availableParallelism } from "node:os";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { LayerReader } from "../../src/cache/layer-reader.ts";
import { mapTable } from "../../src/cache/table-file.ts";
import { prepareImage } from "../../src/image/prepare-image.ts";
import type { PrepareImageOptions } from "../../src/image/preparation-options.ts";
import type { PreparedImage } from "../../src/image/prepared-image.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { LocalStore } from "../../src/soci/local-store.ts";
import { IngestWorkers } from "../../src/threads/ingest-workers.ts";
import { TablesWorker } from "../../src/threads/tables-worker.ts";
import { ChainTable, newChainChild } from "../../src/tree/chain-table.ts";
import { LayerTable } from "../../src/tree/layer-table.ts";
import { spawnIngestWorker, spawnTablesWorker } from "../../src/workers.ts";

export interface PrepareOptions extends Partial<Omit<PrepareImageOptions, "source" | "store">> {
  /** Whether there is a local store. */
  readonly withStore?: boolean;
}

/** An image prepared below a state root, its log, and a way to read what is in the cache of it. */
export interface Prepared extends PreparedImage {
  readonly cache: LayerCache;
  readonly store: LocalStore | undefined;
  readonly records: readonly LogRecord[];
  /** Names in the root directory of the merged tree. */
  names(): string[];
  /** The bytes of layer `i` that are in the cache; undefined when some are missing. */
  data(i: number): Buffer | undefined;
}

/** Prepares an image as `sociable mount` does, with threads. */
export async function prepare(
  root: string,
  name: string,
  { withStore = false, ...options }: PrepareOptions = {},
): Promise<Prepared> {
  await using resources = new AsyncDisposableStack();
  const records: LogRecord[] = [];
  const log = createLogger({ level: "info", sink: (record) => records.push(record) });
  const cache = resources.use(await LayerCache.open({ root, log }));
  const cacheRoot = cache.root;
  const store = withStore ? resources.use(await LocalStore.open({ root })) : undefined;
  const source = resources.use(await openImageSource(name));
  using ingesters = new IngestWorkers({
    spawn: spawnIngestWorker,
    count: availableParallelism(),
    cacheRoot,
  });
  const prepared = resources.use(
    await prepareImage({
      source,
      cache,
      store,
      startTables: () => new TablesWorker({ spawn: spawnTablesWorker, cacheRoot }),
      ingest: ingesters.ingest,
      log,
      ...options,
    }),
  );
  const owned = resources.move();
  return {
    ...prepared,
    cache,
    store,
    records,
    names: () => namesIn(prepared),
    data: (i) => dataOf(prepared, i),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function namesIn({ treePath, layers }: PreparedImage): string[] {
  const tree = ChainTable.open(mapTable(treePath));
  for (const { layer } of layers) LayerTable.open(mapTable(layer.paths.inodes));
  const child = newChainChild();
  return Array.from({ length: tree.childCount(0) }, (_, i) => {
    tree.childAt(0, i, child);
    return Buffer.from(tree.names.subarray(child.nameStart, child.nameEnd)).toString();
  });
}

function dataOf({ layers }: PreparedImage, i: number): Buffer | undefined {
  const layer = layers[i]?.layer;
  if (layer === undefined) throw new Error(`no layer ${i}`);
  const { dataSize, uncompressedSize } = layer.geometry;
  const reader = new LayerReader(layer.files);
  const bytes = new Uint8Array(dataSize + 2 * 32_768);
  if (reader.read(0, uncompressedSize, bytes, 32_768) < 0) return undefined;
  return Buffer.from(bytes.buffer, 32_768, uncompressedSize);
}
