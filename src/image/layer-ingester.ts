import type { WaitOptions } from "../async/wait-options.ts";
import type { LayerHandle } from "../cache/layer-files.ts";
import type { Digest } from "../oci/digest.ts";
import type { ZtocResult } from "../ztoc/build-ztoc.ts";

/**
 * Where a layer's bytes go: a new layer of the cache, of which single spans can be fetched later or
 * not; or the spans that are missing of one that is there, all of which the caller has claimed.
 */
export type IngestTarget =
  | { readonly kind: "new"; readonly withSpans: boolean }
  | { readonly kind: "refill"; readonly handle: LayerHandle };

export interface IngestRequest extends WaitOptions {
  readonly layer: Digest;
  readonly target: IngestTarget;
  /** What the uncompressed bytes must be; asked when all have passed. Undefined: nobody knows. */
  readonly diffId: () => Promise<Digest | undefined>;
  /** Told now and then how many uncompressed bytes there are so far; the layer goes on when it is done. */
  readonly onSize?: ((bytes: number) => Promise<void>) | undefined;
}

/** What has come of a new layer beside its place in the cache. */
export interface IngestResult {
  /** Its zTOC where it can have one; good until `use` has returned. */
  readonly ztoc: ZtocResult | undefined;
}

/**
 * Takes a whole layer into the cache: every byte, its entries and tables. Nothing of it is to be seen
 * there before `source` has ended without error, which means that the blob is what it should be, and
 * the diff ID is right. Then `use` is called. In this thread or in another: callers cannot tell.
 * @throws data-loss for a layer that no unpacker takes; unsupported when it has to be taken without
 * spans; failed-precondition when the disk is full; whatever `source` and `use` throw
 */
export type LayerIngester = <T>(
  source: AsyncIterable<Uint8Array>,
  request: IngestRequest,
  use: (result: IngestResult) => Promise<T>,
) => Promise<T>;
