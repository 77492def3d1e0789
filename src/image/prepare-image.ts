import { join } from "node:path";
import { mapConcurrent } from "../async/map-concurrent.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { treesDirectory } from "../cache/cache-paths.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import { leaseTable, mapTable } from "../cache/table-file.ts";
import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor, Platform } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { isIndexType } from "../oci/media-types.ts";
import { hostPlatform } from "../oci/platform.ts";
import { type ResolvedImage, resolveImage } from "../oci/resolve-image.ts";
import { SOCI_INDEX_V1 } from "../soci/annotations.ts";
import type { ExplicitIndex, LocalIndexes } from "../soci/discover.ts";
import type { LocalStore } from "../soci/local-store.ts";
import { ChainTable } from "../tree/chain-table.ts";
import { ByteBudget } from "./byte-budget.ts";
import { EarlyMerge } from "./early-merge.ts";
import { HeldLayers } from "./held-layers.ts";
import { chainKeyOf, distinctLayers, readDiffIds } from "./image-layers.ts";
import { ingestLayer } from "./ingest-layer.ts";
import type { LayerIngester } from "./layer-ingester.ts";
import { isUseless, type LocalZtocs, logNotLazy, readZtoc } from "./open-layer.ts";
import { ManifestMemory } from "./manifest-memory.ts";
import type { PreparedImage } from "./prepared-image.ts";
import { PreparingSource } from "./preparing-source.ts";
import type { TableBuilder } from "./table-builder.ts";
import { ZtocFinder } from "./ztoc-finder.ts";

/** What preparing asks of a local store. */
export type PreparingStore = LocalIndexes & LocalZtocs & Pick<LocalStore, "findZtoc" | "putZtoc">;

export interface PrepareImageOptions extends WaitOptions {
  readonly source: ImageSource;
  readonly cache: LayerCache;
  /** Of an image index; by default this machine's. */
  readonly platform?: Platform | undefined;
  /** The SOCI index to use, whatever else there is. */
  readonly index?: ExplicitIndex | undefined;
  /** Where indexes and zTOCs may be, and where zTOCs that are made on the way are kept. */
  readonly store?: PreparingStore | undefined;
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

interface AddOptions extends WaitOptions {
  readonly merging: EarlyMerge;
}

class Preparation implements AsyncDisposable {
  readonly #options: PrepareImageOptions;
  readonly #resources = new AsyncDisposableStack();
  readonly #held: HeldLayers;
  readonly #manifests: ManifestMemory;
  readonly #source: PreparingSource;
  readonly #ztocs: ZtocFinder;
  readonly #tables: TableBuilder;
  readonly #ztocMemory = new ByteBudget(ZTOC_BYTES);
  readonly #aheadMemory = new ByteBudget(AHEAD_BYTES);
  #diffIds: Promise<ReadonlyMap<Digest, Digest>> | undefined;

  constructor(options: PrepareImageOptions) {
    const { cache, log, source, store, index, signal } = options;
    this.#options = options;
    this.#tables = this.#resources.use(options.startTables());
    this.#held = this.#resources.use(new HeldLayers({ cache, log }));
    this.#manifests = new ManifestMemory(cache.root);
    const preparing = new PreparingSource({ source, manifests: this.#manifests });
    this.#source = this.#resources.use(preparing);
    const finder = new ZtocFinder({ source: this.#source, store, index, log, signal });
    this.#ztocs = this.#resources.use(finder);
  }

  async run(): Promise<PreparedImage> {
    const { cache, log, signal } = this.#options;
    const image = await this.#resolve();
    const { layers } = image.manifest;
    const distinct = distinctLayers(layers);
    const chain = layers.map(({ digest }) => digest);
    const treeKey = chainKeyOf(chain);
    const treePath = join(treesDirectory(cache.root), treeKey);
    await mapConcurrent(distinct, ({ digest }) => this.#held.openIfThere(digest), {
      limit: PARALLEL,
      signal,
    });
    const isReady = this.#held.size === distinct.length && isTree(treePath);
    log.debug("image resolved", { layers: layers.length, cached: this.#held.size, isReady });
    if (!isReady) {
      const merge = () => this.#tables.merge(chain, treePath, { signal });
      const merging = new EarlyMerge(distinct.length, merge);
      await this.#addLayers(image, distinct, merging);
      await merging.finish();
      log.debug("layers merged", { tree: treeKey });
    }
    const diffIds = await this.#diffIds;
    const prepared = layers.map((descriptor) => {
      const { digest } = descriptor;
      return { descriptor, diffId: diffIds?.get(digest), ...this.#held.get(digest) };
    });
    const index = await this.#ztocs.index();
    await this.#remember(image);
    this.#held.keepOpen(leaseTree(treePath));
    const leases = this.#held.handOver();
    return {
      image,
      layers: prepared,
      treeKey,
      treePath,
      index,
      [Symbol.asyncDispose]: () => leases[Symbol.asyncDispose](),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
    await Promise.allSettled([this.#diffIds]);
  }

  async #resolve(): Promise<ResolvedImage> {
    const { index, platform = hostPlatform(), signal } = this.#options;
    const root = await this.#source.root({ signal });
    return await resolveImage(this.#source, {
      platform,
      signal,
      onSelected: ({ digest }) => {
        // Of a single manifest the bytes are here by now: there is nothing to be ahead of. And what
        // was prepared before is likely to be all there.
        const isAwaited = isIndexType(root.mediaType) && this.#manifests.read(digest) === undefined;
        if (isAwaited && index === undefined) this.#source.ask(digest, SOCI_INDEX_V1);
      },
    });
  }

  async #addLayers(
    image: ResolvedImage,
    distinct: readonly Descriptor[],
    merging: EarlyMerge,
  ): Promise<void> {
    const { signal, onStreamed } = this.#options;
    const missing = distinct.filter(({ digest }) => !this.#held.has(digest));
    const ztocs = await this.#ztocs.find(image, missing);
    const unindexed = missing.filter(({ digest }) => !ztocs.has(digest));
    if (unindexed.length > 0) {
      this.#startDiffIds(image);
      onStreamed?.(unindexed, (await this.#ztocs.index()) !== undefined);
    }
    await mapConcurrent(
      distinct,
      async (layer, inner) => {
        const options = { merging, signal: inner };
        const { digest } = layer;
        if (this.#held.has(digest)) {
          await this.#addHeld(image, layer, options);
        } else {
          await this.#addMissing(image, layer, ztocs.get(digest), options);
        }
      },
      { limit: PARALLEL, signal },
    );
  }

  async #addHeld(image: ResolvedImage, layer: Descriptor, options: AddOptions): Promise<void> {
    const { merging, signal } = options;
    const { digest } = layer;
    try {
      await merging.begin(this.#tables.addCached(digest, { signal }));
    } catch (error) {
      if (!isKind(error, "data-loss", "not-found")) throw error;
      merging.takeBack();
      await this.#held.drop(digest, error);
      const ztoc = (await this.#ztocs.find(image, [layer])).get(digest);
      if (ztoc === undefined) this.#tellStreamed(image, layer);
      await this.#addMissing(image, layer, ztoc, options);
    }
  }

  async #addMissing(
    image: ResolvedImage,
    layer: Descriptor,
    ztoc: Descriptor | undefined,
    options: AddOptions,
  ): Promise<void> {
    if (ztoc !== undefined) {
      if (await this.#addIndexed(layer, ztoc, options)) return;
      this.#tellStreamed(image, layer);
    }
    const { merging, signal } = options;
    const { digest } = layer;
    const cached = await ingestLayer(layer, {
      ...this.#options,
      ahead: this.#aheadMemory,
      diffId: async () => (await this.#diffIds)?.get(digest),
      signal,
    });
    this.#held.add(digest, { layer: cached, from: "streamed" });
    await merging.begin(this.#tables.addCached(digest, { signal }));
  }

  /** False: the zTOC is of no use. */
  async #addIndexed(
    layer: Descriptor,
    ztoc: Descriptor,
    { merging, signal }: AddOptions,
  ): Promise<boolean> {
    const { log } = this.#options;
    using _memory = await this.#ztocMemory.acquire(ztoc.size, { signal });
    let fault: string | undefined;
    try {
      const bytes = await readZtoc(layer, ztoc, { ...this.#options, signal });
      log.debug("zTOC read", { layer: layer.digest, bytes: bytes.length });
      const adding = this.#tables.addZtoc(layer, ownMemory(bytes), { signal });
      fault = await merging.begin(adding);
      if (fault !== undefined) merging.takeBack();
    } catch (error) {
      if (!isUseless(error)) throw error;
      fault = error.message;
    }
    if (fault === undefined) {
      await this.#held.open(layer.digest, "index");
      return true;
    }
    logNotLazy(log, { layer, ztoc: ztoc.digest, reason: fault });
    return false;
  }

  async #remember({ descriptor, bytes }: ResolvedImage): Promise<void> {
    try {
      await this.#manifests.keep(descriptor.digest, bytes);
    } catch (error) {
      // The image is ready all the same; next time its manifest is asked for.
      if (!isKind(error, "failed-precondition")) throw error;
      this.#options.log.warn("manifest is not remembered", { error });
    }
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

/** Keeps the tree from being removed to make room. */
function leaseTree(path: string): Disposable {
  try {
    return leaseTable(path);
  } catch (cause) {
    if (!isKind(cause, "not-found")) throw cause;
    throw new SociError(
      "unavailable",
      "Cannot prepare image: its tree has just been removed from the cache",
      { cause },
    );
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
