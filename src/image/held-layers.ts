import type { WaitOptions } from "../async/wait-options.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import { type LayerKey, layerOfKey } from "../cache/layer-key.ts";
import { mapTable } from "../cache/table-file.ts";
import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import { LayerTable } from "../tree/layer-table.ts";

/** How a layer came into the cache: it was there, by its zTOC (nothing of its data yet), or whole. */
export type LayerOrigin = "cache" | "index" | "streamed";

export interface HeldLayer {
  readonly layer: CachedLayer;
  readonly from: LayerOrigin;
}

export interface HeldLayersOptions {
  readonly cache: LayerCache;
  readonly log: Logger;
}

/** Layers of one image, open in the cache: each under one name. Disposing closes them, unless they have been handed over. */
export class HeldLayers implements AsyncDisposable {
  readonly #cache: LayerCache;
  readonly #log: Logger;
  readonly #held = new Map<Digest, HeldLayer>();
  #leases = new AsyncDisposableStack();

  constructor({ cache, log }: HeldLayersOptions) {
    this.#cache = cache;
    this.#log = log;
  }

  /** All that are open. */
  layers(): IterableIterator<HeldLayer> {
    return this.#held.values();
  }

  get size(): number {
    return this.#held.size;
  }

  has(digest: Digest): boolean {
    return this.#held.has(digest);
  }

  get(digest: Digest): HeldLayer {
    const held = this.find(digest);
    if (held === undefined) throw new Error(`layer ${digest} is not open`);
    return held;
  }

  find(digest: Digest): HeldLayer | undefined {
    return this.#held.get(digest);
  }

  /**
   * Opens a layer, under the first of these names that it has in the cache and is sound under, unless it
   * is open; whether it is open then.
   */
  async openIfThere(keys: readonly LayerKey[], options: WaitOptions = {}): Promise<boolean> {
    for (const key of keys) if (await this.#openIfThere(key, options)) return true;
    return false;
  }

  async #openIfThere(key: LayerKey, options: WaitOptions): Promise<boolean> {
    const digest = layerOfKey(key);
    if (this.#held.has(digest)) return true;
    const layer = await this.#cache.openLayer(key, options);
    if (layer === undefined) return false;
    this.add({ layer, from: "cache" });
    try {
      LayerTable.open(mapTable(layer.paths.inodes));
      return true;
    } catch (error) {
      if (!isKind(error, "data-loss", "not-found")) throw error;
      await this.drop(digest, error);
      return false;
    }
  }

  /** Opens a layer that has just been made. @throws unavailable when it is gone again */
  async open(key: LayerKey, from: LayerOrigin): Promise<void> {
    const layer = await this.#cache.openLayer(key);
    if (layer === undefined) {
      throw new SociError(
        "unavailable",
        `Cannot prepare layer ${layerOfKey(key)}: it has just been removed from the cache`,
      );
    }
    this.add({ layer, from });
  }

  add(held: HeldLayer): void {
    const { digest } = held.layer;
    this.#log.debug("layer is in the cache", { layer: digest, from: held.from });
    this.#leases.use(held.layer);
    this.#held.set(digest, held);
  }

  /** Removes a layer whose files are damaged, to be made again. */
  async drop(digest: Digest, { message }: SociError): Promise<void> {
    this.#log.warn("cached layer is damaged and is made again", { layer: digest, reason: message });
    const { layer } = this.get(digest);
    this.#held.delete(digest);
    await layer[Symbol.asyncDispose]();
    await this.#cache.removeLayer(layer.key);
  }

  /** Something else that is to be closed with the layers. */
  keepOpen(lease: Disposable): void {
    this.#leases.use(lease);
  }

  /** Hands the layers over: they are closed by disposing of what this returns. */
  handOver(): AsyncDisposable {
    const leases = this.#leases.move();
    this.#leases = new AsyncDisposableStack();
    return leases;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leases.disposeAsync();
  }
}
