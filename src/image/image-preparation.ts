import { abortable } from "../async/abortable.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import { isOfWholeLayer, type LayerKey, layerOfKey } from "../cache/layer-key.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isIndexType, OCI_LAYER_GZIP, OCI_LAYER_TAR } from "../oci/media-types.ts";
import { hostPlatform } from "../oci/platform.ts";
import { type ResolvedImage, resolveImage } from "../oci/resolve-image.ts";
import { SOCI_INDEX_V1 } from "../soci/annotations.ts";
import { ALL_MODES, type DiscoveredIndex } from "../soci/discover.ts";
import { findPrefetch, type PrefetchSpans } from "./find-prefetch.ts";
import { HeldLayers } from "./held-layers.ts";
import { failureOf, type LayerOutcome, refusalOf } from "./layer-outcome.ts";
import { ImageWork, keysFor, type LayerState } from "./image-work.ts";
import { ManifestMemory } from "./manifest-memory.ts";
import type { ImagePreparationOptions } from "./preparation-options.ts";
import type { PreparedImage } from "./prepared-image.ts";
import { ensureTree, keepTree, type PreparedTree } from "./prepared-tree.ts";
import { PreparingSource } from "./preparing-source.ts";
import type { TableBuilder } from "./table-builder.ts";
import { ZtocFinder } from "./ztoc-finder.ts";
import { ZtocMemory } from "./ztoc-memory.ts";

/**
 * Gets the layers of one platform of an image into the cache, all at once, and answers for each by
 * itself: what befalls one layer is nothing to the others. Layers that are there already are answered
 * for without the network, but for the manifest. Disposing stops what is under way and closes all that
 * was not handed to somebody.
 */
export class ImagePreparation implements AsyncDisposable {
  readonly #options: ImagePreparationOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #resources = new AsyncDisposableStack();
  readonly #held: HeldLayers;
  readonly #manifests: ManifestMemory;
  readonly #ztocs: ZtocMemory;
  readonly #source: PreparingSource;
  readonly #finder: ZtocFinder;
  readonly #tables: TableBuilder;
  readonly #image: Promise<ResolvedImage>;
  readonly #begun: Promise<ImageWork>;
  /** Layers looked up in the cache although the image cannot be had. */
  readonly #alone = new Map<Digest, Promise<LayerState>>();
  #prefetch: Promise<readonly PrefetchSpans[]> | undefined;
  #tablesEnded: Promise<void> | undefined;

  private constructor(options: ImagePreparationOptions) {
    const { cache, log, source, store, index, modes, signal } = options;
    const { manifests: near, manifestDigest: rootDigest } = options;
    this.#options = options;
    this.#signal =
      signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    this.#tables = options.startTables();
    this.#resources.defer(() => this.#endTables());
    this.#held = this.#resources.use(new HeldLayers({ cache, log }));
    this.#manifests = new ManifestMemory(cache.root);
    this.#ztocs = new ZtocMemory({
      cacheRoot: cache.root,
      sourceName: source.name,
      index,
      modes: modes ?? ALL_MODES,
    });
    this.#source = this.#resources.use(
      new PreparingSource({ source, manifests: this.#manifests, near, rootDigest, log }),
    );
    const finding = { source: this.#source, store, index, modes, log, signal: this.#signal };
    this.#finder = this.#resources.use(new ZtocFinder(finding));
    this.#image = this.#resolve();
    this.#begun = this.#begin();
    // Whoever asks for a layer is told.
    this.#image.catch(() => undefined);
    this.#begun.catch(() => undefined);
    this.#leaveTables().catch((error: unknown) => {
      log.warn("thread of an image's tables cannot be ended", { error });
    });
  }

  /** Everything begins at once. */
  static start(options: ImagePreparationOptions): ImagePreparation {
    return new ImagePreparation(options);
  }

  /** The image's manifest. @throws not-found, data-loss, unavailable … */
  async image({ signal }: WaitOptions = {}): Promise<ResolvedImage> {
    return await abortable(this.#image, signal);
  }

  /**
   * Waits until a layer is in the cache, or is known not to be served. Each call opens it anew: it is
   * the caller's, also after this has been disposed of. @throws the signal's reason; unavailable when
   * this is disposed of
   */
  async layer(digest: Digest, { signal }: WaitOptions = {}): Promise<LayerOutcome> {
    const state = await abortable(this.#stateOf(digest), signal);
    if (state.kind === "refused") return state;
    const { from } = state.held;
    try {
      const begun = await this.#begun.catch(() => undefined);
      // Of a layer that was read whole it is known by now; others do not wait for it.
      const diffIds = from === "streamed" ? await begun?.diffIds() : undefined;
      const layer = await this.#reopen(state.held.layer.key, { signal });
      const isWhole = isOfWholeLayer(layer.key);
      const descriptor = begun?.find(digest)?.descriptor ?? descriptorOf(layer);
      const { compressedSize } = layer.geometry;
      if (descriptor.size !== compressedSize) {
        await layer[Symbol.asyncDispose]();
        // Another image brought it; all that is fetched of it is asked for by its size.
        const detail = `Cannot serve layer ${digest}: the manifest says ${descriptor.size} bytes, it has ${compressedSize}`;
        return { kind: "refused", reason: "data", detail };
      }
      return {
        kind: "ready",
        layer,
        descriptor,
        from,
        isWhole,
        hasIndex: this.#finder.hasIndex ?? !isWhole,
        diffId: diffIds?.get(digest),
      };
    } catch (error) {
      signal?.throwIfAborted();
      this.#signal.throwIfAborted();
      return refusalOf(error);
    }
  }

  /** The SOCI index, when it has been looked for; undefined: there is none, or nobody had to look. */
  async index({ signal }: WaitOptions = {}): Promise<DiscoveredIndex | undefined> {
    const find = async (): Promise<DiscoveredIndex | undefined> => {
      await this.#begun;
      return await this.#finder.index();
    };
    return await abortable(find(), signal);
  }

  /**
   * The merged tree of some of the layers, the lowest first, or of all; waits for them. The caller
   * disposes of it. @throws what kept a layer from being served; not-found where nothing went wrong
   */
  async tree(layers?: readonly Digest[], { signal }: WaitOptions = {}): Promise<PreparedTree> {
    const make = async (): Promise<PreparedTree> => {
      const chain = layers ?? (await this.#begun).chain;
      for (const digest of chain) {
        const state = await this.#stateOf(digest);
        if (state.kind === "refused") throw failureOf(state);
      }
      const begun = await this.#begun.catch(() => undefined);
      const isWhole = begun !== undefined && isSame(begun.chain, chain);
      if (isWhole) return await this.#wholeTree(begun);
      return await this.#makeTree(chain.map((digest) => this.#held.get(digest).layer.key));
    };
    const making = make();
    try {
      return await abortable(making, signal);
    } catch (error) {
      // Nobody waits for it any more.
      making.then((tree) => tree[Symbol.dispose]()).catch(() => undefined);
      throw error;
    }
  }

  /**
   * What the index says to fetch ahead of the layers that can be fetched by spans; asked for when all
   * zTOCs have come. Nothing when no index had to be looked for.
   */
  async prefetch({ signal }: WaitOptions = {}): Promise<readonly PrefetchSpans[]> {
    this.#prefetch ??= this.#findPrefetch();
    return await abortable(this.#prefetch, signal);
  }

  /**
   * Waits until all of the image is there and hands it over: it stays when this is disposed of, and no
   * layer may be asked for any more. @throws what befell the first layer that cannot be served
   */
  async handOver(): Promise<PreparedImage> {
    const begun = await this.#begun;
    const { image } = begun;
    using moving = new DisposableStack();
    const tree = moving.use(await this.#wholeTree(begun));
    const diffIds = await begun.diffIds();
    const index = await this.#finder.index();
    const { treeKey, treePath } = tree;
    const layers = image.manifest.layers.map((descriptor) => {
      const { digest } = descriptor;
      return { descriptor, diffId: diffIds?.get(digest), ...this.#held.get(digest) };
    });
    moving.move();
    this.#held.keepOpen(tree);
    const leases = this.#held.handOver();
    const dispose = () => leases[Symbol.asyncDispose]();
    return { image, layers, treeKey, treePath, index, [Symbol.asyncDispose]: dispose };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new SociError("unavailable", "Cannot prepare image: it has been given up"));
    const [begun] = await Promise.allSettled([this.#begun, this.#prefetch]);
    if (begun.status === "fulfilled") await begun.value[Symbol.asyncDispose]();
    await Promise.allSettled(this.#alone.values());
    await this.#resources.disposeAsync();
  }

  async #resolve(): Promise<ResolvedImage> {
    const { platform = hostPlatform(), manifestDigest } = this.#options;
    const signal = this.#signal;
    if (manifestDigest !== undefined) await this.#askAhead(manifestDigest);
    const root = await this.#source.root({ signal });
    return await resolveImage(this.#source, {
      platform,
      signal,
      onSelected: ({ digest }) => {
        // Of a single manifest the bytes are here by now: there is nothing to be ahead of.
        if (!isIndexType(root.mediaType)) return;
        this.#askAhead(digest).catch(() => {
          // Then it is asked for later, and fails there.
        });
      },
    });
  }

  /** Asks for referrers beside the manifest. What was prepared before is likely to be all there. */
  async #askAhead(manifest: Digest): Promise<void> {
    const { index, wholeOnly = false, modes = ALL_MODES } = this.#options;
    if (index !== undefined || wholeOnly || !modes.v1) return;
    if (this.#manifests.read(manifest) !== undefined) return;
    const near = await this.#source.localManifest(manifest, { signal: this.#signal });
    if (near === undefined) this.#source.ask(manifest, SOCI_INDEX_V1);
  }

  async #begin(): Promise<ImageWork> {
    return await ImageWork.begin(await this.#image, {
      ...this.#options,
      held: this.#held,
      tables: this.#tables,
      finder: this.#finder,
      manifests: this.#manifests,
      ztocs: this.#ztocs,
      signal: this.#signal,
    });
  }

  async #wholeTree(begun: ImageWork): Promise<PreparedTree> {
    await begun.whole;
    const { keys } = begun;
    // It has just been made or looked at.
    return keepTree(this.#options.cache.root, keys) ?? (await this.#makeTree(keys));
  }

  async #makeTree(layers: readonly LayerKey[]): Promise<PreparedTree> {
    const { cache } = this.#options;
    const { startTables } = this.#options;
    return await ensureTree({ cache, layers, startTables, signal: this.#signal });
  }

  /** A thread is some 13 MB, and an image that is prepared may be asked about for a while. */
  async #leaveTables(): Promise<void> {
    const begun = await this.#begun.catch(() => undefined);
    await begun?.settled();
    await this.#endTables();
  }

  #endTables(): Promise<void> {
    this.#tablesEnded ??= Promise.resolve(this.#tables[Symbol.asyncDispose]());
    return this.#tablesEnded;
  }

  async #stateOf(digest: Digest): Promise<LayerState> {
    let begun: ImageWork;
    try {
      begun = await this.#begun;
    } catch (error) {
      this.#signal.throwIfAborted();
      return await this.#cachedAlone(digest, error);
    }
    this.#signal.throwIfAborted();
    const work = begun.find(digest);
    if (work !== undefined) return await work.state;
    const { digest: manifest } = begun.image.descriptor;
    const detail = `Cannot serve layer ${digest}: manifest ${manifest} has no such layer`;
    return { kind: "refused", reason: "data", detail };
  }

  /** What is in the cache is served also when the image cannot be had. */
  async #cachedAlone(digest: Digest, why: unknown): Promise<LayerState> {
    const look = async (): Promise<LayerState> => {
      const { manifestDigest, wholeOnly = false } = this.#options;
      const isKnown = manifestDigest !== undefined && !wholeOnly;
      const ztocs = isKnown ? this.#ztocs.read(manifestDigest) : new Map();
      const isThere = await this.#held.openIfThere(keysFor(digest, ztocs), {
        signal: this.#signal,
      });
      return isThere ? { kind: "held", held: this.#held.get(digest) } : refusalOf(why);
    };
    const looking = this.#alone.get(digest) ?? look();
    this.#alone.set(digest, looking);
    return await looking;
  }

  async #reopen(key: LayerKey, options: WaitOptions): Promise<CachedLayer> {
    const layer = await this.#options.cache.openLayer(key, options);
    if (layer !== undefined) return layer;
    throw new SociError(
      "data-loss",
      `Cannot open layer ${layerOfKey(key)}: it has just been removed from the cache, as it was damaged`,
    );
  }

  async #findPrefetch(): Promise<readonly PrefetchSpans[]> {
    const begun = await this.#begun;
    await begun.ztocsPassed();
    // Where it could not be had, layers say so.
    const found = await this.#finder.index().catch(() => undefined);
    if (found === undefined) return [];
    return await findPrefetch(found.index, {
      source: this.#source,
      geometryOf: (layer) => {
        const geometry = this.#held.find(layer)?.layer.geometry;
        return geometry?.encoding === "whole" ? undefined : geometry;
      },
      log: this.#options.log,
      signal: this.#signal,
    });
  }
}

/** As good as can be told without the manifest. */
function descriptorOf({ digest, geometry }: CachedLayer): Descriptor {
  const mediaType = geometry.encoding === "gzip" ? OCI_LAYER_GZIP : OCI_LAYER_TAR;
  return { mediaType, digest, size: geometry.compressedSize };
}

function isSame(left: readonly Digest[], right: readonly Digest[]): boolean {
  return left.length === right.length && left.every((digest, i) => digest === right[i]);
}
