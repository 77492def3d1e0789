import type { Digest } from "../oci/digest.ts";
import type { FileMetadata } from "./file-metadata.ts";
import type { Zinfo } from "./zinfo.ts";

/** The only version of the format there is. */
export const ZTOC_VERSION = "0.9";

/** What the reference's command line writes, so that our bytes are the same. */
export const BUILD_TOOL_IDENTIFIER = "AWS SOCI CLI v0.2";

export const DEFAULT_SPAN_SIZE = 4_194_304;

export type CompressionAlgorithm = "gzip" | "uncompressed";

/** A decoded zTOC: TOC and zinfo of one layer. Views alias the encoded bytes. */
export interface Ztoc {
  readonly version: string;
  readonly buildToolIdentifier: string;
  readonly compressedArchiveSize: number;
  readonly uncompressedArchiveSize: number;
  readonly compressionAlgorithm: CompressionAlgorithm;
  readonly maxSpanId: number;
  /** One a span; sha256 of its compressed bytes. */
  readonly spanDigests: readonly Digest[];
  readonly zinfo: Zinfo;
  /** Sorted by uncompressedOffset. Rows read their fields when asked: `{ ...row }` copies nothing. */
  readonly files: readonly FileMetadata[];
}
