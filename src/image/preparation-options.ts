import type { Semaphore } from "../async/semaphore.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import type { Logger } from "../observability/log.ts";
import type { Descriptor, Platform } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageSource } from "../oci/image-source.ts";
import type { DiscoveryModes, ExplicitIndex, LocalIndexes } from "../soci/discover.ts";
import type { LocalStore } from "../soci/local-store.ts";
import type { ByteBudget } from "./byte-budget.ts";
import type { LayerIngester } from "./layer-ingester.ts";
import type { LocalZtocs } from "./open-layer.ts";
import type { LocalManifests } from "./preparing-source.ts";
import type { TableBuilder } from "./table-builder.ts";

/** What preparing asks of a local store. */
export type PreparingStore = LocalIndexes &
  LocalZtocs &
  Pick<LocalStore, "findZtoc"> &
  Partial<Pick<LocalStore, "putZtoc">>;

export interface PrepareImageOptions extends WaitOptions {
  readonly source: ImageSource;
  readonly cache: LayerCache;
  /** Of an image index; by default this machine's. */
  readonly platform?: Platform | undefined;
  /** The SOCI index to use, whatever else there is. */
  readonly index?: ExplicitIndex | undefined;
  /** Where indexes and zTOCs may be, and where zTOCs that are made on the way are kept. */
  readonly store?: PreparingStore | undefined;
  /**
   * Called at once, so that a thread can get ready while the network is waited for (one that was
   * started before may be handed in); disposed of at the end.
   */
  readonly startTables: () => TableBuilder;
  /** Takes layers that have no zTOC, as many at once as it likes. */
  readonly ingest: LayerIngester;
  readonly log: Logger;
  /** Layers that have no zTOC and are about to be read whole. Called again when more turn out to be. */
  readonly onStreamed?: ((layers: readonly Descriptor[], isIndexed: boolean) => void) | undefined;
  /** Compressed bytes of such layers that have come. */
  readonly onBytes?: ((count: number) => void) | undefined;
}

/** Bounds of what is under way at once, beside those of each image. */
export interface PreparationLimits {
  /** One permit a layer that is read whole, shared with other images. */
  readonly downloads?: Semaphore | undefined;
  /** Layers of this image that are read whole. */
  readonly perImage?: number | undefined;
  /** Bytes of zTOCs in memory, shared with other images. */
  readonly ztocMemory?: ByteBudget | undefined;
}

export interface ImagePreparationOptions extends PrepareImageOptions {
  /** The manifest, where it is known: then the source is not asked what its name stands for. */
  readonly manifestDigest?: Digest | undefined;
  /** Where manifests may be near, before the source is asked; their digests are checked. */
  readonly manifests?: LocalManifests | undefined;
  /** Where an index may be looked for, beside an explicit one; everywhere by default. */
  readonly modes?: DiscoveryModes | undefined;
  /** What becomes of an image without an index: nothing of it is downloaded, or all of it is read whole. Default "stream". */
  readonly onMissingIndex?: "refuse" | "stream" | undefined;
  /** What becomes of layers that the index leaves out, or whose zTOC cannot be used. Default "stream". */
  readonly outsideIndex?: "refuse" | "stream" | undefined;
  /** Layers with fewer compressed bytes are read whole, whether or not they have a zTOC. */
  readonly minLayerSize?: number | undefined;
  /** No index is looked for: all layers are read whole. */
  readonly wholeOnly?: boolean | undefined;
  readonly limits?: PreparationLimits | undefined;
}
