import { SociError } from "../../errors.ts";
import type { CompressionAlgorithm } from "../../ztoc/ztoc.ts";

/** What --compression takes: the words of the reference. `unknown` is stored as uncompressed. */
export const COMPRESSIONS = ["gzip", "uncompressed", "unknown", "zstd"] as const;

export type Compression = (typeof COMPRESSIONS)[number];

/** So many first bytes are enough for detectCompression(). */
export const MAGIC_BYTES = 4;

/** How a layer is compressed, by its first bytes; what is neither gzip nor zstd is taken for a tar. */
export function detectCompression(head: Uint8Array): Compression {
  const [a, b, c, d] = head;
  // RFC 1952, 2.3.1; RFC 8878, 3.1.1 and 3.1.2 (a file may begin with a skippable frame).
  if (a === 0x1f && b === 0x8b) return "gzip";
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return "zstd";
  if (a !== undefined && a >> 4 === 5 && b === 0x2a && c === 0x4d && d === 0x18) return "zstd";
  return "uncompressed";
}

/** The algorithm that the zTOC will name. @throws unsupported for zstd */
export function algorithmOf(compression: Compression, layer: string): CompressionAlgorithm {
  if (compression === "zstd") {
    throw new SociError(
      "unsupported",
      `Cannot build a zTOC of ${layer}: it is compressed with zstd, want gzip or none`,
      {
        hint: "zTOCs of zstd layers do not exist; push the image with gzip layers to index it",
      },
    );
  }
  return compression === "gzip" ? "gzip" : "uncompressed";
}
