import { SociError } from "../errors.ts";
import { CRC_BLOCK_BYTES, crcIndexOf } from "./crc-blocks.ts";
import { CrcRun } from "./crc-run.ts";
import { pwriteWhole } from "./pwrite-whole.ts";
import { restoreDataSize } from "./restore-data-size.ts";
import type { LayerFiles } from "./layer-files.ts";

/**
 * Writes the bytes of one span into the cache, in order, for who has claimed it. What is written is
 * seen by nobody until the claim is marked present.
 */
export class SpanWriter {
  readonly #files: LayerFiles;
  readonly #span: number;
  readonly #end: number;
  readonly #start: number;
  readonly #crcs: CrcRun;
  #offset: number;

  constructor(files: LayerFiles, span: number) {
    const { geometry, live } = files;
    this.#files = files;
    this.#span = span;
    this.#start = geometry.uncompressedStart(span);
    this.#end = geometry.uncompressedEnd(span);
    this.#offset = this.#start;
    const index = crcIndexOf(span, this.#start);
    this.#crcs = new CrcRun((block, crc) => {
      live.crcs[index + block] = crc;
    });
  }

  /** Uncompressed offset up to which bytes were given. */
  get written(): number {
    return this.#offset;
  }

  /** Uncompressed offset up to which LayerReader.readFilled() can read: whole blocks. */
  get readable(): number {
    if (this.#offset === this.#end) return this.#end;
    return this.#offset - ((this.#offset - this.#start) % CRC_BLOCK_BYTES);
  }

  get isComplete(): boolean {
    return this.#offset === this.#end;
  }

  /**
   * Takes the span's next bytes; their memory may be reused after the call. False when the disk is
   * full (or the quota used up): then the span cannot be cached now, and the writer is of no more use.
   * @throws data-loss when there are more bytes than the span has, failed-precondition when the file
   * cannot be written
   */
  write(chunk: Uint8Array): boolean {
    if (chunk.length > this.#end - this.#offset) {
      throw new SociError(
        "data-loss",
        `Cannot cache span ${this.#span}: it has ${this.#offset - this.#start + chunk.length} bytes or more, want ${this.#end - this.#start}`,
      );
    }
    if (this.#offset === this.#start) restoreDataSize(this.#files);
    if (!pwriteWhole(this.#files.dataFd, chunk, this.#offset)) return false;
    this.#offset += chunk.length;
    this.#crcs.push(chunk);
    if (this.isComplete) this.#crcs.end();
    return true;
  }
}
