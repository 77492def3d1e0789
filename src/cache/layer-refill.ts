import { SociError } from "../errors.ts";
import { CrcRun } from "./crc-run.ts";
import { crcIndexOf } from "./crc-blocks.ts";
import type { LayerFiles } from "./layer-files.ts";
import { restoreDataSize } from "./restore-data-size.ts";
import { pwriteWhole } from "./pwrite-whole.ts";

/**
 * Writes all of a layer again into the cache, front to back, in any thread, for who holds the claim of
 * all its spans. Spans that are present are left as they are; the others are seen by nobody until
 * commit() was called, after the layer was verified, and then the claim is marked present.
 */
export class LayerRefill {
  readonly #files: LayerFiles;
  readonly #crcs: Uint32Array;
  #span = 0;
  #run: CrcRun | undefined;
  #offset = 0;

  constructor(files: LayerFiles) {
    this.#files = files;
    this.#crcs = new Uint32Array(files.live.crcs.length);
    restoreDataSize(files);
  }

  /** Bytes taken so far, of which those behind the end of the layer's data are dropped. */
  get size(): number {
    return this.#offset;
  }

  /**
   * Takes the next bytes; their memory may be reused. False when the disk is full: then the refill is
   * of no more use.
   */
  append(bytes: Uint8Array): boolean {
    const { geometry, live, dataFd } = this.#files;
    for (let rest = bytes; rest.length > 0;) {
      if (this.#offset >= geometry.dataSize) {
        this.#offset += rest.length;
        return true;
      }
      const span = this.#spanHere();
      const end = geometry.uncompressedEnd(span);
      const part = rest.subarray(0, end - this.#offset);
      if (!live.isPresent(span) && !pwriteWhole(dataFd, part, this.#offset)) return false;
      this.#offset += part.length;
      this.#runOf(span).push(part);
      if (this.#offset === end) this.#endRun();
      rest = rest.subarray(part.length);
    }
    return true;
  }

  /** All bytes were appended and are right: makes them readable, once the claim is marked present. @throws data-loss when there were too few */
  commit(): void {
    const { geometry, live } = this.#files;
    if (this.#offset < geometry.dataSize) {
      throw new SociError(
        "data-loss",
        `Cannot fill layer ${this.#files.digest} again: ${this.#offset} bytes came, want ${geometry.dataSize}`,
      );
    }
    live.crcs.set(this.#crcs);
  }

  #spanHere(): number {
    const { geometry } = this.#files;
    while (this.#offset >= geometry.uncompressedEnd(this.#span)) this.#span++;
    return this.#span;
  }

  #runOf(span: number): CrcRun {
    if (this.#run === undefined) {
      const index = crcIndexOf(span, this.#files.geometry.uncompressedStart(span));
      this.#run = new CrcRun((block, crc) => {
        this.#crcs[index + block] = crc;
      });
    }
    return this.#run;
  }

  #endRun(): void {
    this.#run?.end();
    this.#run = undefined;
  }
}
