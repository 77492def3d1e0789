import { join } from "node:path";
import { mapConcurrent } from "../async/map-concurrent.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { treesDirectory } from "../cache/cache-paths.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import { mapTable } from "../cache/table-file.ts";
import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor, Platform } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { isIndexType } from "../oci/media-types.ts";
import { hostPlatform } from "../oci/platform.ts";
import type { ResolvedImage } from "../oci/resolve-image.ts";
import { resolveImage } from "../oci/resolve-image.ts";
import { SOCI_INDEX_V1, ZTOC_MEDIA_TYPE } from "../soci/annotations.ts";
import type { DiscoveredIndex, ExplicitIndex } from "../soci/discover.ts";
import { discoverSociIndex } from "../soci/discover.ts";
import type { LocalStore } from "../soci/local-store.ts";
import { ztocOfLayer } from "../soci/soci-index.ts";
import { ChainTable } from "../tree/chain-table.ts";
import { LayerTable } from "../tree/layer-table.ts";
import { DEFAULT_SPAN_SIZE } from "../ztoc/ztoc.ts";
import { ByteBudget } from "./byte-budget.ts";
import { chainKeyOf, distinctLayers, readDiffIds } from "./image-layers.ts";
import { ingestLayer } from "./ingest-layer.ts";
import type { LayerIngester } from "./layer-ingester.ts";
import { isUseless, logNotLazy, readZtoc } from "./open-layer.ts";
import { ReferrersAhead } from "./referrers-ahead.ts";
import type { TableBuilder } from "./table-builder.ts";

export interface PrepareImageOptions extends WaitOptions {
  readonly source: ImageSource;
  readonly cache: LayerCache;
  /** Of an image index; by default this machine's. */
  readonly platform?: Platform | undefined;
  /** The SOCI index to use, whatever else there is. */
  readonly index?: ExplicitIndex | undefined;
  /** Where indexes and zTOCs may be, and where zTOCs that are made on the way are kept. */
  readonly store?: LocalStore | undefined;
  /** Called at once, so that a thread can get ready while the network is waited for; disposed of at the end. */
  readonly startTables: () => TableBuilder;
  /** Takes layers that have no zTOC, as many at once as it likes. */
  readonly ingest: LayerIngester;
  readonly log: Logger;
  /** Layers that have no zTOC and are about to be read whole. Called again when more turn out to be. */
  readonly onStreamed?: ((layers: readonly Descriptor[], isIndexed: boolean) => void) | undefined;
  /** Compressed bytes of such layers that have come. */
  readonly onBytes?: ((count: number) => void) | undefined;
}

/** A layer of an image, in the cache. */
export interface PreparedLayer {
  readonly descriptor: Descriptor;
  /** Of its uncompressed bytes; undefined where nobody had to ask. */
  readonly diffId: Digest | undefined;
  /** The same object for the same layer. */
  readonly layer: CachedLayer;
  /** How it came: it was there, by a zTOC (nothing of its data yet), or whole. */
  readonly from: LayerOrigin;
}

export type LayerOrigin = "cache" | "index" | "streamed";

/** An image whose layers are all in the cache, and their merged tree on disk. Disposing releases the layers. */
export interface PreparedImage extends AsyncDisposable {
  readonly image: ResolvedImage;
  /** Bottom first. */
  readonly layers: readonly PreparedLayer[];
  /** Names the chain of layers. */
  readonly treeKey: string;
  /** The file of its ChainTable. */
  readonly treePath: string;
  /** The SOCI index that was used; undefined when there is none, or nobody had to look. */
  readonly index: DiscoveredIndex | undefined;
}

/** Requests for zTOCs and layers under way at once, and memory for them. */
const PARALLEL = 64;
const ZTOC_BYTES = 48 << 20;
const AHEAD_BYTES = 16 << 20;

/**
 * Gets one platform of an image ready for mounting: all layers in the cache, with their tables and as
 * much of their data as there is, and the merged tree on disk. When all of it is there already,
 * nothing but the manifest is asked of the network and nothing is decoded.
 * @throws not-found, data-loss, unavailable, failed-precondition …
 */
export async function prepareImage(options: PrepareImageOptions): Promise<PreparedImage> {
  await using preparation = new Preparation(options);
  return await preparation.run();
}

interface Held {
  readonly layer: CachedLayer;
  readonly from: LayerOrigin;
}

class Preparation implements AsyncDisposable {
  readonly #options: PrepareImageOptions;
  readonly #tables: TableBuilder;
  readonly #source: ReferrersAhead;
  readonly #leases = new AsyncDisposableStack();
  readonly #held = new Map<Digest, Held>();
  readonly #ztocMemory = new ByteBudget(ZTOC_BYTES);
  readonly #aheadMemory = new ByteBudget(AHEAD_BYTES);
  #discovery: Promise<DiscoveredIndex | undefined> | undefined;
  #diffIds: Promise<ReadonlyMap<Digest, Digest>> | undefined;

  constructor(options: PrepareImageOptions) {
    this.#options = options;
    this.#tables = options.startTables();
    this.#source = new ReferrersAhead(options.source);
  }

  async run(): Promise<PreparedImage> {
    const { cache, signal } = this.#options;
    const image = await this.#resolve();
    const { layers } = image.manifest;
    const distinct = distinctLayers(layers);
    const chain = layers.map(({ digest }) => digest);
    const treeKey = chainKeyOf(chain);
    const treePath = join(treesDirectory(cache.root), treeKey);
    await Promise.all(distinct.map((layer) => this.#openCached(layer.digest)));
    const isReady = this.#held.size === distinct.length && isTree(treePath);
    if (!isReady) {
      await this.#makeReady(image, distinct);
      await this.#tables.merge(chain, treePath, { signal });
    }
    const diffIds = await this.#diffIds;
    const leases = this.#leases.move();
    return {
      image,
      layers: layers.map((descriptor) => ({
        descriptor,
        diffId: diffIds?.get(descriptor.digest),
        ...this.#heldLayer(descriptor.digest),
      })),
      treeKey,
      treePath,
      index: await this.#discovery,
      [Symbol.asyncDispose]: () => leases.disposeAsync(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _tables = this.#tables;
    await using _source = this.#source;
    await using _leases = this.#leases;
    // Whoever failed first has thrown; what else was begun ends with its requests.
    await Promise.allSettled([this.#discovery, this.#diffIds]);
  }

  async #resolve(): Promise<ResolvedImage> {
    const { index, platform = hostPlatform(), signal } = this.#options;
    const root = await this.#source.root({ signal });
    return await resolveImage(this.#source, {
      platform,
      signal,
      onSelected: ({ digest }) => {
        // Of a single manifest the bytes are here already: there is nothing to be ahead of.
        if (isIndexType(root.mediaType) && index === undefined) {
          this.#source.ask(digest, SOCI_INDEX_V1);
        }
      },
    });
  }

  async #makeReady(image: ResolvedImage, distinct: readonly Descriptor[]): Promise<void> {
    const { signal, onStreamed } = this.#options;
    const missing = distinct.filter(({ digest }) => !this.#held.has(digest));
    const ztocs = await this.#findZtocs(image, missing);
    const unindexed = missing.filter(({ digest }) => !ztocs.has(digest));
    if (unindexed.length > 0) {
      this.#startDiffIds(image);
      onStreamed?.(unindexed, (await this.#discovery) !== undefined);
    }
    await mapConcurrent(
      distinct,
      (layer, inner) => this.#prepareLayer(image, layer, { ztocs, signal: inner }),
      { limit: PARALLEL, signal },
    );
  }

  async #prepareLayer(
    image: ResolvedImage,
    layer: Descriptor,
    { ztocs, signal }: WaitOptions & { readonly ztocs: ReadonlyMap<Digest, Descriptor> },
  ): Promise<void> {
    const { digest } = layer;
    if (this.#held.has(digest)) {
      if (await this.#addCached(digest, { signal })) return;
      ztocs = await this.#findZtocs(image, [layer]);
      if (!ztocs.has(digest)) this.#tellStreamed(image, layer);
    }
    const ztoc = ztocs.get(digest);
    if (ztoc !== undefined) {
      if (await this.#addIndexed(layer, ztoc, { signal })) return;
      this.#tellStreamed(image, layer);
    }
    const { source, cache, store, ingest, log, onBytes } = this.#options;
    const cached = await ingestLayer(layer, {
      source,
      cache,
      store,
      ingest,
      log,
      onBytes,
      ahead: this.#aheadMemory,
      diffId: async () => (await this.#diffIds)?.get(digest),
      signal,
    });
    this.#hold(digest, { layer: cached, from: "streamed" });
    await this.#tables.addCached(digest, { signal });
  }

  /** False: its files turned out to be damaged, and it is gone. */
  async #addCached(digest: Digest, { signal }: WaitOptions): Promise<boolean> {
    try {
      await this.#tables.addCached(digest, { signal });
      return true;
    } catch (error) {
      if (!isKind(error, "data-loss", "not-found")) throw error;
      await this.#drop(digest, error);
      return false;
    }
  }

  /** False: the zTOC is of no use. */
  async #addIndexed(
    layer: Descriptor,
    ztoc: Descriptor,
    { signal }: WaitOptions,
  ): Promise<boolean> {
    const { source, store, log, cache } = this.#options;
    using _memory = await this.#ztocMemory.acquire(ztoc.size, { signal });
    let fault: string | undefined;
    try {
      const bytes = await readZtoc(layer, ztoc, { source, store, log, signal });
      fault = await this.#tables.addZtoc(layer, ownMemory(bytes), { signal });
    } catch (error) {
      if (!isUseless(error)) throw error;
      fault = error.message;
    }
    if (fault !== undefined) {
      logNotLazy(log, { layer, ztoc: ztoc.digest, reason: fault });
      return false;
    }
    const opened = await cache.openLayer(layer.digest);
    if (opened === undefined) {
      throw new SociError(
        "unavailable",
        `Cannot prepare layer ${layer.digest}: it has just been removed from the cache`,
      );
    }
    this.#hold(layer.digest, { layer: opened, from: "index" });
    return true;
  }

  async #openCached(digest: Digest): Promise<void> {
    const layer = await this.#options.cache.openLayer(digest);
    if (layer === undefined) return;
    this.#hold(digest, { layer, from: "cache" });
    try {
      LayerTable.open(mapTable(layer.paths.inodes));
    } catch (error) {
      if (!isKind(error, "data-loss", "not-found")) throw error;
      await this.#drop(digest, error);
    }
  }

  /** A layer whose files are damaged is prepared anew. */
  async #drop(digest: Digest, error: SociError): Promise<void> {
    const { log, cache } = this.#options;
    log.warn("cached layer is damaged and is made again", { layer: digest, reason: error.message });
    await this.#heldLayer(digest).layer[Symbol.asyncDispose]();
    this.#held.delete(digest);
    await cache.removeLayer(digest);
  }

  #hold(digest: Digest, held: Held): void {
    this.#leases.use(held.layer);
    this.#held.set(digest, held);
  }

  #heldLayer(digest: Digest): Held {
    const held = this.#held.get(digest);
    if (held === undefined) throw new Error(`layer ${digest} is not open`);
    return held;
  }

  /** zTOCs of these layers by the layer's digest: of the image's index, else of the local store. */
  async #findZtocs(
    image: ResolvedImage,
    layers: readonly Descriptor[],
  ): Promise<ReadonlyMap<Digest, Descriptor>> {
    const ztocs = new Map<Digest, Descriptor>();
    if (layers.length === 0) return ztocs;
    this.#discovery ??= this.#discover(image);
    const found = await this.#discovery;
    for (const { digest } of layers) {
      const ztoc =
        (found === undefined ? undefined : ztocOfLayer(found.index, digest)?.descriptor) ??
        (await this.#localZtoc(digest));
      if (ztoc !== undefined) ztocs.set(digest, ztoc);
    }
    return ztocs;
  }

  async #localZtoc(layer: Digest): Promise<Descriptor | undefined> {
    const found = await this.#options.store?.findZtoc(layer, DEFAULT_SPAN_SIZE);
    if (found === undefined) return undefined;
    return { mediaType: ZTOC_MEDIA_TYPE, digest: found.digest, size: found.size };
  }

  async #discover(image: ResolvedImage): Promise<DiscoveredIndex | undefined> {
    const { index: explicit, store, log, signal } = this.#options;
    const { found, misses } = await discoverSociIndex({
      source: this.#source,
      imageManifest: image.descriptor,
      annotations: image.manifest.annotations,
      explicit,
      store,
      signal,
    });
    for (const { from, reason, error } of misses) {
      log[error === undefined ? "debug" : "warn"]("no SOCI index", { from, reason });
    }
    return found;
  }

  #tellStreamed(image: ResolvedImage, layer: Descriptor): void {
    this.#startDiffIds(image);
    this.#options.onStreamed?.([layer], true);
  }

  /** The config is asked for beside the first layer that is read whole. */
  #startDiffIds({ manifest }: ResolvedImage): void {
    if (this.#diffIds !== undefined) return;
    const { source, signal } = this.#options;
    this.#diffIds = readDiffIds(source, manifest, { signal });
    // A failure waits for the end of that layer, when the answer is wanted.
    this.#diffIds.catch(() => undefined);
  }
}

function isTree(path: string): boolean {
  try {
    ChainTable.open(mapTable(path));
    return true;
  } catch (error) {
    // A damaged one is made again.
    if (isKind(error, "not-found", "data-loss")) return false;
    throw error;
  }
}

/** Bytes that can be transferred to another thread: alone in their memory. */
function ownMemory(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength
    ? new Uint8Array(buffer)
    : new Uint8Array(bytes);
}
