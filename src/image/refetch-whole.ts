import { delay } from "../async/delay.ts";
import type { CachedLayer } from "../cache/cached-layer.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import type { SpaceReservation } from "../cache/space-reservation.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { readWhole, type ReadWholeOptions } from "./ingest-layer.ts";

export interface RefetchWholeOptions extends Omit<ReadWholeOptions, "store" | "onSize" | "diffId"> {
  /** As it is in the image's manifest. */
  readonly descriptor: Descriptor;
  readonly cache: LayerCache;
}

/** How long until it is looked again whether another process is done with a layer. */
const POLL_MS = 50;

/**
 * Fetches a layer again that can only be had whole, of which spans have been evicted or damaged. They
 * are present when this returns, and not before all of the blob has been verified. Of several that
 * want it one fetches, in whatever process. @throws data-loss, failed-precondition when the disk is
 * full, and what the source throws
 */
export async function refetchWhole(
  layer: CachedLayer,
  { descriptor, ...options }: RefetchWholeOptions,
): Promise<void> {
  for (;;) {
    options.signal?.throwIfAborted();
    const claim = layer.claimAll();
    if (claim === "present") return;
    if (claim === "busy") {
      await delay(POLL_MS, options);
      continue;
    }
    using held = claim;
    using room = await reserve(layer, options);
    // The blob's digest is verified: the same blob makes the same bytes.
    const diffId = async () => undefined;
    await readWhole(descriptor, { kind: "refill", handle: layer.handle }, { ...options, diffId });
    held.markPresent();
    room.keep();
    return;
  }
}

async function reserve(
  { digest, geometry, presentBytes }: CachedLayer,
  { cache, signal }: Pick<RefetchWholeOptions, "cache" | "signal">,
): Promise<SpaceReservation> {
  const bytes = geometry.dataSize - presentBytes;
  const reservation = await cache.reserve(bytes, "ingest", { signal });
  if (reservation !== undefined) return reservation;
  throw new SociError(
    "failed-precondition",
    `Cannot fill layer ${digest} again: it takes ${bytes} bytes of the cache, which is full (cap ${cache.capBytes} bytes)`,
    { hint: "Allow it more with --cache-size" },
  );
}
