import type { FileRun, LayerTable } from "../tree/layer-table.ts";

/** Where read() leaves data, as ReadTarget of fuse/filesystem.ts. */
export interface FileTarget {
  readonly bytes: Uint8Array;
  readonly slack: number;
  start: number;
  end: number;
}

/**
 * Gives bytes [start, end) of a layer's uncompressed tar: they then stand in `bytes` from `at` on.
 * Up to `slack` bytes before and behind them may be overwritten. Returns `end - start`, or a negative
 * number of its own when it does not have them.
 */
export interface TarReader {
  read(start: number, end: number, bytes: Uint8Array, at: number): number;
}

/** Bytes of a layer's tar. */
export interface TarRange {
  readonly start: number;
  readonly end: number;
}

/** Which bytes of a file. */
export interface FileRange {
  readonly entry: number;
  readonly offset: number;
  readonly size: number;
}

/** Reads files of one layer through a TarReader: plain ones at once, sparse ones run by run. */
export class FileReads {
  readonly #table: LayerTable;
  readonly #run: FileRun = { tarStart: 0, length: 0, isHole: false };
  /** For runs between holes: what a TarReader overwrites around them must not be lost. */
  #scratch: Uint8Array | undefined;

  constructor(table: LayerTable) {
    this.#table = table;
  }

  /** How many bytes a read of the file gives: none past its end. */
  sizeOf({ entry, offset, size }: FileRange): number {
    return Math.max(0, Math.min(size, this.#table.sizeOf(entry) - offset));
  }

  /** Puts the bytes into `target`; returns their number, or the negative number that the reader gave. */
  read(range: FileRange, reader: TarReader, target: FileTarget): number {
    const { entry, offset } = range;
    const size = this.sizeOf(range);
    target.start = target.slack;
    target.end = target.slack + size;
    if (size === 0) return 0;
    if (!this.#table.isSparse(entry)) {
      const start = this.#table.dataOffset(entry) + offset;
      return reader.read(start, start + size, target.bytes, target.slack);
    }
    return this.#readSparse(range, size, { reader, target });
  }

  /** Where in the tar the bytes lie that a read needs: neighbours as one, of a sparse file mostly all. */
  rangesOf(range: FileRange): TarRange[] {
    const { entry, offset } = range;
    const size = this.sizeOf(range);
    const ranges: { start: number; end: number }[] = [];
    const run = this.#run;
    for (let done = 0; done < size; done += run.length) {
      this.#table.run(entry, offset + done, run);
      if (run.isHole) continue;
      const end = run.tarStart + Math.min(run.length, size - done);
      const last = ranges.at(-1);
      if (last?.end === run.tarStart) last.end = end;
      else ranges.push({ start: run.tarStart, end });
    }
    return ranges;
  }

  /** Where in the tar a file's bytes end; undefined for a sparse one. */
  endOf(entry: number): number | undefined {
    if (this.#table.isSparse(entry)) return undefined;
    return this.#table.dataOffset(entry) + this.#table.sizeOf(entry);
  }

  /** Data between holes lies together in the tar: it is had at once, and not a block for each run. */
  #readSparse(
    range: FileRange,
    size: number,
    { reader, target }: { readonly reader: TarReader; readonly target: FileTarget },
  ): number {
    const { bytes, slack } = target;
    const { entry, offset } = range;
    const run = this.#run;
    this.#scratch ??= new Uint8Array(bytes.length);
    const scratch = this.#scratch;
    let done = 0;
    for (const { start, end } of this.rangesOf(range)) {
      const got = reader.read(start, end, scratch, slack);
      if (got < 0) return got;
      for (let at = start; at < end && done < size; done += run.length) {
        this.#table.run(entry, offset + done, run);
        const length = Math.min(run.length, size - done);
        const place = slack + done;
        if (run.isHole) {
          bytes.fill(0, place, place + length);
        } else {
          bytes.set(scratch.subarray(slack + at - start, slack + at - start + length), place);
          at += length;
        }
      }
    }
    bytes.fill(0, slack + Math.min(done, size), slack + size);
    return size;
  }
}
