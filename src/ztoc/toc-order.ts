import { BLOCK_BYTES } from "../tar/tar-block.ts";
import type { FileMetadata } from "./file-metadata.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Checks that the files of a TOC lie one behind the other. Tar headers are not stored: readers take
 * them to begin where the file before ends, so data that reaches into the next file cannot be read.
 */
export class TocOrder {
  #end = 0;

  /** What is wrong with the place of the next file, or undefined. Files come in order of their offsets. */
  check(file: FileMetadata): string | undefined {
    const start = file.uncompressedOffset;
    const size = file.uncompressedSize;
    // Rows read their fields when asked: what only an error names is not asked for.
    if (start < this.#end) {
      return `invalid TOC entry ${JSON.stringify(decoder.decode(file.name.subarray(0, 200)))}: its data starts at ${start}, want ${this.#end} or more, where the file before it ends`;
    }
    if (size < 0 && file.type === "reg") {
      return `size of the file at ${start} is ${size}, want 0 or more`;
    }
    this.#end = Math.ceil((start + size) / BLOCK_BYTES) * BLOCK_BYTES;
    return undefined;
  }
}
