import type { CachedLayer } from "../cache/cached-layer.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import { isLayerKey, layerOfKey } from "../cache/layer-key.ts";
import { SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import type { ServedLayer } from "../snapshotter/layer-mounter.ts";
import type { ServedLayerLease } from "./served-layers.ts";

/** A layer that snapshots are made of, open in the cache and known to the scheduler. */
export interface StockedLayer {
  readonly served: ServedLayer;
  readonly layer: CachedLayer;
  readonly lease: ServedLayerLease;
}

export interface LayerStockOptions {
  readonly cache: LayerCache;
  /**
   * Makes a layer known to whoever fetches and shows it; the CachedLayer stays the caller's. `images`:
   * the layer as of each image that has it by then, as imagesOf().
   */
  readonly serve: (
    served: ServedLayer,
    layer: CachedLayer,
    images: () => readonly ServedLayer[],
  ) => Promise<ServedLayerLease>;
  /** Brings a layer into the cache again that is gone from it, by the image that it is named with. */
  readonly recover: (served: ServedLayer) => Promise<CachedLayer>;
  readonly log: Logger;
}

interface Entry {
  readonly served: ServedLayer;
  /** As each of its holders names it. */
  readonly holders: Map<string, ServedLayer>;
  opening: Promise<StockedLayer> | undefined;
  /** When it is open. */
  stocked: StockedLayer | undefined;
}

/**
 * The layers that snapshots hold: each is open once, however many hold it, and stays in the cache as
 * long as somebody does.
 */
export class LayerStock implements AsyncDisposable {
  readonly #options: LayerStockOptions;
  readonly #entries = new Map<string, Entry>();
  /** What each holder holds, in the order in which it was taken. */
  readonly #heldBy = new Map<string, Set<string>>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: LayerStockOptions) {
    this.#options = options;
  }

  /** Layers that are held, by their names in the cache; the same layer may be there by several zTOCs. */
  get keys(): ReadonlySet<string> {
    return new Set(this.#entries.keys());
  }

  /** All names under which they are in the cache. One that was gone may have come back in another way. */
  get cachedKeys(): ReadonlySet<string> {
    return new Set([...this.keys, ...Array.from(this.opened(), ({ layer }) => layer.key)]);
  }

  /** What is held of a layer. */
  ofLayer(digest: Digest): readonly ServedLayer[] {
    return [...this.#entries.values()]
      .map(({ served }) => served)
      .filter((served) => served.digest === digest);
  }

  /** All images that the layers came with, whoever holds them. */
  get manifests(): ReadonlySet<Digest> {
    const manifests = new Set<Digest>();
    for (const { holders } of this.#entries.values()) {
      for (const { manifestDigest } of holders.values()) manifests.add(manifestDigest);
    }
    return manifests;
  }

  /**
   * A layer as of each image that is known to have it: those that it is held for, then those of layers
   * that stand on it, as the layers of one holder do, the lowest first. None when it is not held.
   */
  imagesOf(cacheKey: string): readonly ServedLayer[] {
    const entry = this.#entries.get(cacheKey);
    if (entry === undefined) return [];
    const images = new Map<string, ServedLayer>();
    const add = ({ namespace, imageReference, manifestDigest }: ServedLayer): void => {
      const name = { namespace, imageReference, manifestDigest };
      const key = Object.values(name).join("\n");
      if (!images.has(key)) images.set(key, { ...entry.served, ...name });
    };
    for (const served of entry.holders.values()) add(served);
    for (const holder of entry.holders.keys()) {
      let isAbove = false;
      for (const key of this.#heldBy.get(holder) ?? []) {
        const above = isAbove ? this.#entries.get(key)?.holders.get(holder) : undefined;
        if (above !== undefined) add(above);
        isAbove ||= key === cacheKey;
      }
    }
    return [...images.values()];
  }

  /** Layers that are open by now. */
  *opened(): Generator<StockedLayer> {
    for (const { stocked } of this.#entries.values()) if (stocked !== undefined) yield stocked;
  }

  /** Who holds what, for whoever explains it. */
  holdersOf(digest: Digest): readonly string[] {
    const holders = this.ofLayer(digest).flatMap(({ cacheKey }) => [
      ...(this.#entries.get(cacheKey)?.holders.keys() ?? []),
    ]);
    return [...new Set(holders)];
  }

  /**
   * Holds a layer for `holder` (once, however often it is called), opening it behind the call. With
   * `layer` that is taken over; it is closed where the layer is open already.
   */
  hold(holder: string, served: ServedLayer, layer?: CachedLayer): void {
    const { cacheKey } = served;
    let entry = this.#entries.get(cacheKey);
    if (entry === undefined) {
      entry = { served, holders: new Map(), opening: undefined, stocked: undefined };
      this.#entries.set(cacheKey, entry);
    }
    entry.holders.set(holder, served);
    const held = this.#heldBy.get(holder);
    if (held === undefined) this.#heldBy.set(holder, new Set([cacheKey]));
    else held.add(cacheKey);
    if (entry.opening === undefined) void this.#open(entry, layer);
    else if (layer !== undefined) this.#track(layer[Symbol.asyncDispose]());
  }

  /** A held layer, open. @throws unavailable when it is gone and cannot be had again */
  async get(cacheKey: string): Promise<StockedLayer> {
    const entry = this.#entries.get(cacheKey);
    if (entry === undefined) throw new Error(`layer ${cacheKey} is not held`);
    // What failed before (a registry that was down) is tried again.
    return await (entry.opening ?? this.#open(entry));
  }

  /** What `holder` held is let go. */
  release(holder: string): void {
    const keys = this.#heldBy.get(holder);
    this.#heldBy.delete(holder);
    for (const key of keys ?? []) {
      const entry = this.#entries.get(key);
      entry?.holders.delete(holder);
      if (entry === undefined || entry.holders.size > 0) continue;
      this.#entries.delete(key);
      this.#close(entry);
    }
  }

  /** Resolves when what was let go is closed. */
  async settled(): Promise<void> {
    while (this.#closing.size > 0) await Promise.all(this.#closing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const entry of this.#entries.values()) this.#close(entry);
    this.#entries.clear();
    this.#heldBy.clear();
    await this.settled();
  }

  #open(entry: Entry, given?: CachedLayer): Promise<StockedLayer> {
    const opening = this.#stock(entry.served, given);
    entry.opening = opening;
    opening.then(
      (stocked) => (entry.stocked = stocked),
      (error: unknown) => {
        if (entry.opening === opening) entry.opening = undefined;
        this.#options.log.warn("layer of a snapshot cannot be opened now", {
          layer: entry.served.digest,
          image: entry.served.imageReference,
          error,
        });
      },
    );
    return opening;
  }

  async #stock(served: ServedLayer, given: CachedLayer | undefined): Promise<StockedLayer> {
    const { serve, log } = this.#options;
    await using cleanup = new AsyncDisposableStack();
    let layer = given ?? (await this.#openCached(served));
    if (layer === undefined) {
      log.warn("layer of a snapshot is gone from the cache and is fetched again", {
        layer: served.digest,
        image: served.imageReference,
      });
      layer = await this.#recover(served);
    }
    cleanup.use(layer);
    const lease = await serve(served, layer, () => this.imagesOf(served.cacheKey));
    cleanup.move();
    return { served, layer, lease };
  }

  async #recover(served: ServedLayer): Promise<CachedLayer> {
    const images = this.imagesOf(served.cacheKey);
    const failures: unknown[] = [];
    for (const image of images.length > 0 ? images : [served]) {
      try {
        return await this.#options.recover(image);
      } catch (error) {
        failures.push(error);
      }
    }
    const [cause] = failures;
    throw new SociError("unavailable", `layer "${served.digest}" unavailable`, { cause });
  }

  async #openCached({ digest, cacheKey }: ServedLayer): Promise<CachedLayer | undefined> {
    if (!isLayerKey(cacheKey) || layerOfKey(cacheKey) !== digest) return undefined;
    return await this.#options.cache.openLayer(cacheKey);
  }

  #close({ opening }: Entry): void {
    if (opening === undefined) return;
    this.#track(
      opening.then(
        async ({ lease, layer }) => {
          await lease[Symbol.asyncDispose]();
          await layer[Symbol.asyncDispose]();
        },
        // It was never open, which has been said.
        () => undefined,
      ),
    );
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.#options.log.error("layer cannot be closed", { error }))
      .finally(() => this.#closing.delete(tracked));
    this.#closing.add(tracked);
  }
}
