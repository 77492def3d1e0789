import type { WaitOptions } from "../async/wait-options.ts";
import type { LayerKey } from "../cache/layer-key.ts";

/** A layer that comes by a zTOC, as far as that must fit it. */
export interface TableLayer {
  readonly key: LayerKey;
  /** Of the blob. */
  readonly size: number;
}

/**
 * Makes the flat tables of one image's layers and of their chain, and puts them into the cache. In
 * this thread or in another: callers cannot tell. What layers have come to is kept until the chain
 * has been merged, so that nothing is decoded twice. Work is begun in the order of the calls, and a
 * call need not wait for the one before.
 */
export interface TableBuilder extends AsyncDisposable {
  /**
   * Puts a layer into the cache, none of its data present. Takes `ztoc` over: its memory may be gone
   * afterwards. Returns why the layer cannot be read by this zTOC, or undefined when it can.
   */
  addZtoc(
    layer: TableLayer,
    ztoc: Uint8Array<ArrayBuffer>,
    options?: WaitOptions,
  ): Promise<string | undefined>;
  /** Takes a layer that is in the cache. @throws not-found, and data-loss when its files are damaged */
  addCached(layer: LayerKey, options?: WaitOptions): Promise<void>;
  /**
   * Writes the table of the chain of these layers, the lowest first, all of which have been added
   * before, or are being added. @throws data-loss; unavailable when adding one of them failed
   */
  merge(layers: readonly LayerKey[], path: string, options?: WaitOptions): Promise<void>;
}
