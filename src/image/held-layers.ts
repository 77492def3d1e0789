import type { WaitOptions } from "../async/wait-options.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
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

/** Layers of the cache that are held open. Disposing closes them, unless they have been handed over. */
export class HeldLayers implements AsyncDisposable {
  readonly #cache: LayerCache;
  readonly #log: Logger;
  readonly #held = new Map<Digest, HeldLayer>();
  #leases = new AsyncDisposableStack();

  constructor({ cache, log }: HeldLayersOptions) {
    this.#cache = cache;
    this.#log = log;
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

  /** Opens a layer if it is in the cache and sound, and is not open yet; whether it is open then. */
  async openIfThere(digest: Digest, options: WaitOptions = {}): Promise<boolean> {
    if (this.#held.has(digest)) return true;
    const layer = await this.#cache.openLayer(digest, options);
    if (layer === undefined) return false;
    this.add(digest, { layer, from: "cache" });
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
  async open(digest: Digest, from: LayerOrigin): Promise<void> {
    const layer = await this.#cache.openLayer(digest);
    if (layer === undefined) {
      throw new SociError(
        "unavailable",
        `Cannot prepare layer ${digest}: it has just been removed from the cache`,
      );
    }
    this.add(digest, { layer, from });
  }

  add(digest: Digest, held: HeldLayer): void {
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
    await this.#cache.removeLayer(digest);
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
