import type { WaitOptions } from "../async/wait-options.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { PutIndexOptions, PutPrefetchOptions, PutZtocOptions } from "./local-store.ts";
import type { SociIndex } from "./soci-index.ts";

/** Where built artifacts go: the local store, or an OCI layout. */
export interface ArtifactSink {
  /** A zTOC of that layer and span size that is there already. */
  findZtoc(
    layer: Digest,
    spanSize: number,
  ): Promise<Pick<Descriptor, "digest" | "size"> | undefined>;
  /** The bytes of a zTOC that findZtoc() has found. @throws not-found, data-loss */
  readZtoc(digest: Digest): Promise<Uint8Array>;
  /** The bytes of an artifact that is there, in order, not verified. */
  openBlob(digest: Digest): AsyncIterable<Uint8Array>;
  /** Stores a zTOC whole or not at all. @throws data-loss when the bytes are not those expected */
  putZtoc(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: PutZtocOptions,
  ): Promise<Descriptor>;
  /** Stores a prefetch artifact. */
  putPrefetch(bytes: Uint8Array, options: PutPrefetchOptions): Promise<Descriptor>;
  /** Stores an index and its config; its zTOCs are there already. */
  putIndex(index: SociIndex, options: PutIndexOptions & WaitOptions): Promise<Descriptor>;
}
