import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";

/**
 * How a layer came: it was there before; the snapshotter shows it and fetches what is read (lazy), or has
 * made it by itself (prepared); or it was downloaded and unpacked.
 */
export type LayerStatus = "present" | "lazy" | "prepared" | "unpacked";

export interface PulledLayer {
  readonly descriptor: Descriptor;
  readonly chainId: Digest;
  readonly status: LayerStatus;
}
