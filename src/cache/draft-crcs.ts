import { CRC_BLOCK_BYTES } from "./crc-blocks.ts";
import { crc32 } from "./crc32.ts";
import { CrcRun } from "./crc-run.ts";
import { crcRangeOf } from "./durable-map.ts";
import type { LayerGeometry } from "./layer-geometry.ts";
import { preadWhole } from "./pread-whole.ts";

/** CRCs made while a layer is written, before its spans are known for good. */
export class DraftCrcs {
  /** Where runs of blocks begin in the layer, and in `#crcs`; ascending. */
  readonly #starts: number[] = [];
  readonly #firsts: number[] = [];
  readonly #crcs: number[] = [];
  #run: CrcRun | undefined;
  #size = 0;

  push(bytes: Uint8Array): void {
    if (this.#run === undefined) {
      this.#starts.push(this.#size);
      this.#firsts.push(this.#crcs.length);
      this.#run = new CrcRun((_, crc) => this.#crcs.push(crc));
    }
    this.#run.push(bytes);
    this.#size += bytes.length;
  }

  /** Blocks begin anew with the next byte. */
  cut(): void {
    this.end();
  }

  end(): void {
    this.#run?.end();
    this.#run = undefined;
  }

  /** Fills a layer's CRC table; what does not stand on this grid is read again from the file. */
  fillTable(table: Uint32Array, geometry: LayerGeometry, dataFd: number): void {
    const block = new Uint8Array(CRC_BLOCK_BYTES);
    for (let span = 0; span < geometry.spanCount; span++) {
      const { start: first, end } = crcRangeOf(geometry, span);
      const spanEnd = geometry.uncompressedEnd(span);
      for (let i = first; i < end; i++) {
        const start = geometry.uncompressedStart(span) + (i - first) * CRC_BLOCK_BYTES;
        const length = Math.min(CRC_BLOCK_BYTES, spanEnd - start);
        table[i] = this.#known(start, length) ?? readCrc(dataFd, start, block.subarray(0, length));
      }
    }
  }

  #known(start: number, length: number): number | undefined {
    const run = this.#runAt(start);
    const offset = start - (this.#starts[run] ?? 0);
    const runEnd = this.#starts[run + 1] ?? this.#size;
    if (offset % CRC_BLOCK_BYTES !== 0) return undefined;
    if (Math.min(CRC_BLOCK_BYTES, runEnd - start) !== length) return undefined;
    return this.#crcs[(this.#firsts[run] ?? 0) + offset / CRC_BLOCK_BYTES];
  }

  /** The last run that begins at or before the offset. */
  #runAt(offset: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function readCrc(fd: number, start: number, into: Uint8Array): number {
  const count = preadWhole(fd, into, start);
  if (count !== into.length) throw new Error(`cannot read back ${into.length} bytes at ${start}`);
  return crc32(into);
}
