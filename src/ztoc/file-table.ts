import { ByteCursor } from "../bytes/byte-cursor.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { SociError } from "../errors.ts";
import type { FileMetadata } from "./file-metadata.ts";
import { FileRow, writeFileRow } from "./file-row.ts";
import { MAX_FLATBUFFER_BYTES } from "./flatbuffer-writer.ts";

const SEGMENT_BYTES = 1 << 20;
const INDEX_ROWS = 1 << 14;
/**
 * After so many segments of rows garbage is collected. Left to itself the collector lets it grow to
 * several times the table: on a million files 380 MiB instead of 270, for a fifth of the time.
 */
const COLLECT_SEGMENTS = 2;

/** What the smallest row takes in a zTOC: a table, its fields' offsets, six empty strings, a vector. */
const MIN_ENCODED_ROW_BYTES = 88;

export interface FileTableOptions {
  /** Size that the zTOC must not reach; by default the largest that there can be. */
  readonly maxBytes?: number;
}

interface Segment {
  readonly bytes: Uint8Array;
  readonly cursor: ByteCursor;
  readonly base: number;
}

/**
 * Rows of a TOC in the order they were appended, packed into large segments: about a hundred bytes a
 * file and no objects, for layers with a million files.
 */
export class FileTable {
  readonly #row = new ByteWriter(1024);
  readonly #index: Float64Array[] = [];
  /** A row longer than a segment has one of its own, which is listed once for each segment it is long. */
  readonly #segments: Segment[] = [];
  readonly #maxBytes: number;
  #used = SEGMENT_BYTES;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  constructor({ maxBytes = MAX_FLATBUFFER_BYTES }: FileTableOptions = {}) {
    this.#maxBytes = maxBytes;
  }

  /** Adds a row; nothing of `file` is kept. @throws unsupported for more rows than a zTOC can hold */
  append(file: FileMetadata): void {
    this.#checkSize();
    const row = this.#row;
    row.reset();
    writeFileRow(row, file);
    const bytes = row.view();
    this.#place(bytes);
  }

  /** Row `index`, 0 to length-1. Byte fields are views of the table: copy to change. */
  at(index: number): FileMetadata {
    const row = new FileRow();
    this.read(index, row);
    return row.toMetadata();
  }

  /** Reads row `index` into `row`: for a million rows, a million objects less. */
  read(index: number, row: FileRow): void {
    const address = this.#index[Math.floor(index / INDEX_ROWS)]?.[index % INDEX_ROWS];
    if (address === undefined || index >= this.#length) {
      throw new RangeError(`Cannot take row ${index} of a file table of ${this.#length} rows`);
    }
    const { bytes, cursor, base } = this.#segmentOf(address);
    cursor.seek(address - base, "row");
    row.decode(bytes, cursor);
  }

  /**
   * Reads the rows from the last to the first and gives up their memory on the way: the table is
   * empty afterwards. The same FileRow each time.
   */
  *drain(): Iterable<FileRow> {
    const row = new FileRow();
    for (; this.#length > 0; this.#length--) {
      this.read(this.#length - 1, row);
      yield row;
      while ((this.#segments.at(-1)?.bytes ?? row.memory) !== row.memory) {
        this.#segments.pop();
        if (this.#segments.length % COLLECT_SEGMENTS === 0) Bun.gc(true);
      }
    }
    this.#segments.length = 0;
    this.#index.length = 0;
    this.#used = SEGMENT_BYTES;
  }

  // A kilobyte of gzip can be two thousand files: memory has an end before the layer has.
  #checkSize(): void {
    const packed = Math.max(0, this.#segments.length - 1) * SEGMENT_BYTES;
    if (Math.max(packed, this.#length * MIN_ENCODED_ROW_BYTES) > this.#maxBytes) {
      throw new SociError(
        "unsupported",
        `Cannot put more than ${this.#length} files into a zTOC: they make it larger than ${this.#maxBytes} bytes`,
      );
    }
  }

  #place(row: Uint8Array): void {
    if (this.#used + row.length > SEGMENT_BYTES) {
      this.#addSegment(row.length);
    }
    const segment = this.#segments.at(-1);
    if (segment === undefined) {
      throw new Error("Cannot append to a file table: it has no segment");
    }
    segment.bytes.set(row, this.#used);
    this.#addToIndex(segment.base + this.#used);
    this.#used += row.length;
  }

  #addSegment(rowBytes: number): void {
    if (this.#segments.length % COLLECT_SEGMENTS === COLLECT_SEGMENTS - 1) Bun.gc(true);
    const listed = Math.max(1, Math.ceil(rowBytes / SEGMENT_BYTES));
    const bytes = new Uint8Array(listed * SEGMENT_BYTES);
    const base = this.#segments.length * SEGMENT_BYTES;
    const segment = { bytes, base, cursor: new ByteCursor(bytes, "file table") };
    for (let count = 0; count < listed; count++) {
      this.#segments.push(segment);
    }
    this.#used = 0;
  }

  #addToIndex(address: number): void {
    const at = this.#length % INDEX_ROWS;
    if (at === 0) {
      this.#index.push(new Float64Array(INDEX_ROWS));
    }
    const page = this.#index.at(-1);
    if (page !== undefined) {
      page[at] = address;
    }
    this.#length++;
  }

  #segmentOf(address: number): Segment {
    const segment = this.#segments[Math.floor(address / SEGMENT_BYTES)];
    if (segment === undefined) {
      throw new Error(`Cannot find byte ${address} of a file table`);
    }
    return segment;
  }
}
