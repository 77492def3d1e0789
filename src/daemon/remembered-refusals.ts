import type { Digest } from "../oci/digest.ts";

const MAX_LAYERS = 4096;

/** Why layers were left to containerd the last time, for whoever asks; the oldest are forgotten. */
export class RememberedRefusals {
  readonly #reasons = new Map<Digest, string>();

  add(layer: Digest, reason: string): void {
    this.#reasons.delete(layer);
    this.#reasons.set(layer, reason);
    for (const oldest of this.#reasons.keys()) {
      if (this.#reasons.size <= MAX_LAYERS) break;
      this.#reasons.delete(oldest);
    }
  }

  forget(layer: Digest): void {
    this.#reasons.delete(layer);
  }

  /** Empty when nothing is known. */
  of(layer: Digest): string {
    return this.#reasons.get(layer) ?? "";
  }
}
