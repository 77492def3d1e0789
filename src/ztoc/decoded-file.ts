import type { FileMetadata, XattrRecord } from "./file-metadata.ts";
import type { FlatbufferReader, FlatTable } from "./flatbuffer-reader.ts";
import { FILE_METADATA, XATTR } from "./ztoc-schema.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * A row of a decoded TOC that reads its fields when asked for: a million of them are held as two
 * references each. It has getters only, so `{ ...row }` copies nothing.
 */
export class DecodedFile implements FileMetadata {
  readonly #reader: FlatbufferReader;
  readonly #table: FlatTable;

  /** Checks all of the row, so that no getter throws. @throws data-loss */
  constructor(reader: FlatbufferReader, table: FlatTable) {
    this.#reader = reader;
    this.#table = table;
    checkFields(reader, table);
  }

  get name(): Uint8Array {
    return this.#reader.bytes(this.#table, FILE_METADATA.name, "name");
  }

  get type(): string {
    return decoder.decode(this.#reader.bytes(this.#table, FILE_METADATA.type, "type"));
  }

  get uncompressedOffset(): number {
    return this.#reader.size(this.#table, FILE_METADATA.uncompressedOffset, "offset");
  }

  get uncompressedSize(): number {
    return this.#reader.safeInt(this.#table, FILE_METADATA.uncompressedSize, "size");
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

  get xattrs(): readonly XattrRecord[] {
    const reader = this.#reader;
    const vector = reader.vector(this.#table, FILE_METADATA.xattrs, "xattrs");
    return Array.from({ length: vector.length }, (_, index) => {
      const xattr = reader.tableOf(vector, index, "xattr");
      return {
        key: reader.bytes(xattr, XATTR.key, "xattr key"),
        value: reader.bytes(xattr, XATTR.value, "xattr value"),
      };
    });
  }
}

/** Memory of an xattr when they are all one table; an honest one has over 30 bytes of its own. */
const XATTR_BYTES = 32;

const TEXT_SLOTS = [
  FILE_METADATA.name,
  FILE_METADATA.type,
  FILE_METADATA.linkname,
  FILE_METADATA.uname,
  FILE_METADATA.gname,
  FILE_METADATA.modTime,
] as const;

function checkFields(reader: FlatbufferReader, table: FlatTable): void {
  let bytes = 0;
  for (const slot of TEXT_SLOTS) {
    bytes += reader.byteLength(table, slot, "text of a file");
  }
  reader.size(table, FILE_METADATA.uncompressedOffset, "offset");
  reader.safeInt(table, FILE_METADATA.uncompressedSize, "size");
  reader.int64(table, FILE_METADATA.mode, "mode");
  reader.uint32(table, FILE_METADATA.uid, "uid");
  reader.uint32(table, FILE_METADATA.gid, "gid");
  reader.int64(table, FILE_METADATA.devmajor, "devmajor");
  reader.int64(table, FILE_METADATA.devminor, "devminor");
  reader.charge(bytes);
  const vector = reader.vector(table, FILE_METADATA.xattrs, "xattrs");
  reader.charge(vector.length * XATTR_BYTES);
  for (let index = 0; index < vector.length; index++) {
    const xattr = reader.tableOf(vector, index, "xattr");
    reader.charge(
      reader.byteLength(xattr, XATTR.key, "xattr key") +
        reader.byteLength(xattr, XATTR.value, "xattr value"),
    );
  }
}
