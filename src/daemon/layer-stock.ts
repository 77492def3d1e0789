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
  /** Makes a layer known to whoever fetches and shows it; the CachedLayer stays the caller's. */
  readonly serve: (served: ServedLayer, layer: CachedLayer) => Promise<ServedLayerLease>;
  /** Brings a layer into the cache again that is gone from it. */
  readonly recover: (served: ServedLayer) => Promise<CachedLayer>;
  readonly log: Logger;
}

interface Entry {
  readonly served: ServedLayer;
  readonly holders: Set<string>;
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

  /** The images that the layers came with. */
  get manifests(): ReadonlySet<Digest> {
    return new Set(Array.from(this.#entries.values(), ({ served }) => served.manifestDigest));
  }

  /** Layers that are open by now. */
  *opened(): Generator<StockedLayer> {
    for (const { stocked } of this.#entries.values()) if (stocked !== undefined) yield stocked;
  }

  /** Who holds what, for whoever explains it. */
  holdersOf(digest: Digest): readonly string[] {
    const holders = this.ofLayer(digest).flatMap(({ cacheKey }) => [
      ...(this.#entries.get(cacheKey)?.holders ?? []),
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
      entry = { served, holders: new Set(), opening: undefined, stocked: undefined };
      this.#entries.set(cacheKey, entry);
    }
    entry.holders.add(holder);
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
    const { serve, recover, log } = this.#options;
    await using cleanup = new AsyncDisposableStack();
    let layer = given ?? (await this.#openCached(served));
    if (layer === undefined) {
      log.warn("layer of a snapshot is gone from the cache and is fetched again", {
        layer: served.digest,
        image: served.imageReference,
      });
      layer = await recover(served).catch((cause: unknown) => {
        throw new SociError("unavailable", `layer "${served.digest}" unavailable`, { cause });
      });
    }
    cleanup.use(layer);
    const lease = await serve(served, layer);
    cleanup.move();
    return { served, layer, lease };
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
