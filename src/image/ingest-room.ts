import type { WaitOptions } from "../async/wait-options.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import type { SpaceReservation } from "../cache/space-reservation.ts";
import { SociError } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";

export interface IngestRoomOptions {
  readonly cache: LayerCache;
  readonly layer: Digest;
}

/** Reserved at a time: a layer's uncompressed size is known only at its end. */
const STEP_BYTES = 64 << 20;
/** Room beyond what has been written, for what is under way. */
const AHEAD_BYTES = 16 << 20;

/** Room in the cache for a layer whose size is not known yet. Disposing gives it back, unless it was kept. */
export class IngestRoom implements Disposable {
  readonly #cache: LayerCache;
  readonly #layer: Digest;
  readonly #reserved: { readonly bytes: number; readonly reservation: SpaceReservation }[] = [];
  #bytes = 0;
  #size = 0;

  constructor({ cache, layer }: IngestRoomOptions) {
    this.#cache = cache;
    this.#layer = layer;
  }

  /** Makes sure that there is room for `size` bytes and some more. @throws failed-precondition */
  async grow(size: number, options: WaitOptions = {}): Promise<void> {
    this.#size = size;
    while (this.#bytes < size + AHEAD_BYTES) {
      if (await this.#reserve(STEP_BYTES, options)) continue;
      // A small layer may fit where a whole step does not.
      if (this.#bytes >= size || (await this.#reserve(size - this.#bytes, options))) return;
      throw new SociError(
        "failed-precondition",
        `Cannot keep layer ${this.#layer}: it takes more than ${this.#bytes} bytes of the cache, which is full (cap ${this.#cache.capBytes} bytes)`,
        { hint: "Allow it more with --cache-size" },
      );
    }
  }

  /** The layer is in the cache: from now on its bytes are counted there. Disposing gives back the rest. */
  keep(): void {
    let start = 0;
    for (const { bytes, reservation } of this.#reserved) {
      if (start < this.#size) reservation.keep();
      start += bytes;
    }
  }

  [Symbol.dispose](): void {
    for (const { reservation } of this.#reserved.splice(0)) reservation[Symbol.dispose]();
  }

  async #reserve(bytes: number, options: WaitOptions): Promise<boolean> {
    const reservation = await this.#cache.reserve(bytes, "ingest", options);
    if (reservation === undefined) return false;
    this.#reserved.push({ bytes, reservation });
    this.#bytes += bytes;
    return true;
  }
}
