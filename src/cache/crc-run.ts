import { CRC_BLOCK_BYTES } from "./crc-blocks.ts";
import { crc32 } from "./crc32.ts";

/** CRCs of the blocks of one run of bytes, which comes in pieces of any size. */
export class CrcRun {
  readonly #onBlock: (block: number, crc: number) => void;
  #block = 0;
  #filled = 0;
  #crc = 0;

  /** `onBlock` gets each block's number from 0 and its CRC, in order. */
  constructor(onBlock: (block: number, crc: number) => void) {
    this.#onBlock = onBlock;
  }

  push(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const count = Math.min(CRC_BLOCK_BYTES - this.#filled, bytes.length - done);
      this.#crc = crc32(bytes.subarray(done, done + count), this.#crc);
      this.#filled += count;
      done += count;
      if (this.#filled === CRC_BLOCK_BYTES) this.end();
    }
  }

  /** The run ends here, if need be with a short block. */
  end(): void {
    if (this.#filled === 0) return;
    this.#onBlock(this.#block++, this.#crc);
    this.#filled = 0;
    this.#crc = 0;
  }
}
