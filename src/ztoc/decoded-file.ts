import type { XattrRecord } from "./file-metadata.ts";
import type { EncodedFile, FileRow } from "./file-row.ts";
import type { FlatbufferReader, FlatTable } from "./flatbuffer-reader.ts";
import type { TocRows } from "./toc-rows.ts";
import { FILE_METADATA } from "./ztoc-schema.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * A row of a decoded TOC that reads its fields when asked for: a million of them are held as two
 * words each. It has getters only, so `{ ...row }` copies nothing.
 */
export class DecodedFile implements EncodedFile {
  readonly #rows: TocRows;
  readonly #table: FlatTable;

  /** Checks all of the row, so that no getter throws. @throws data-loss */
  constructor(rows: TocRows, table: FlatTable) {
    this.#rows = rows;
    this.#table = table;
    rows.check(table);
  }

  get #reader(): FlatbufferReader {
    return this.#rows.reader;
  }

  fill(row: FileRow): void {
    this.#rows.fill(this.#table, row);
  }

  get name(): Uint8Array {
    return this.#reader.bytes(this.#table, FILE_METADATA.name, "name");
  }

  get type(): string {
    return decoder.decode(this.#reader.bytes(this.#table, FILE_METADATA.type, "type"));
  }

  get linkname(): Uint8Array {
    return this.#reader.bytes(this.#table, FILE_METADATA.linkname, "linkname");
  }

  get mode(): bigint {
    return this.#reader.int64(this.#table, FILE_METADATA.mode, "mode");
  }

  get uid(): number {
    return this.#reader.uint32(this.#table, FILE_METADATA.uid, "uid");
  }

  get gid(): number {
    return this.#reader.uint32(this.#table, FILE_METADATA.gid, "gid");
  }

  get uname(): Uint8Array {
    return this.#reader.bytes(this.#table, FILE_METADATA.uname, "uname");
  }

  get gname(): Uint8Array {
    return this.#reader.bytes(this.#table, FILE_METADATA.gname, "gname");
  }

  get modTime(): string {
    return decoder.decode(
      this.#reader.bytes(this.#table, FILE_METADATA.modTime, "modification time"),
    );
  }

  get devmajor(): bigint {
    return this.#reader.int64(this.#table, FILE_METADATA.devmajor, "devmajor");
  }

  get devminor(): bigint {
    return this.#reader.int64(this.#table, FILE_METADATA.devminor, "devminor");
  }

  get uncompressedOffset(): number {
    return this.#rows.offsetOf(this.#table);
  }

  get uncompressedSize(): number {
    return this.#rows.sizeOf(this.#table);
  }

  get xattrs(): readonly XattrRecord[] {
    return this.#rows.xattrsOf(this.#table);
  }
}
