import { FILE_TYPES, type XattrRecord } from "./file-metadata.ts";
import type { FileRow, RowBytes } from "./file-row.ts";
import type { FlatbufferReader, FlatTable } from "./flatbuffer-reader.ts";
import { FILE_METADATA, XATTR } from "./ztoc-schema.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Memory of an xattr when they are all one table; an honest one has over 30 bytes of its own. */
const XATTR_BYTES = 32;

const NO_XATTRS: readonly XattrRecord[] = [];

const TEXT_SLOTS = [
  FILE_METADATA.name,
  FILE_METADATA.type,
  FILE_METADATA.linkname,
  FILE_METADATA.uname,
  FILE_METADATA.gname,
  FILE_METADATA.modTime,
] as const;

/** Bytes of the fields by their slots. */
const FIELD_BYTES = [4, 4, 8, 8, 4, 8, 4, 4, 4, 4, 4, 8, 8, 4] as const;

const VTABLE_HEAD_BYTES = 4;
const NO_VTABLE = -1;

/**
 * Rows of a TOC. Nearly all of a zTOC's rows have the same vtable, so the places of its fields are
 * looked up and checked once, and a row of a layer with a hundred thousand is read without a call for
 * each field. What is not as it should be, the FlatbufferReader judges.
 */
export class TocRows {
  readonly reader: FlatbufferReader;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** The vtable whose places are known. */
  #vtable = NO_VTABLE;
  /** Of each field from the start of its table; 0: it is not there. */
  readonly #places = new Int32Array(FILE_METADATA.slots);

  constructor(reader: FlatbufferReader) {
    this.reader = reader;
    this.#bytes = reader.buffer;
    const { buffer, byteOffset, byteLength } = this.#bytes;
    this.#view = new DataView(buffer, byteOffset, byteLength);
  }

  /** Checks all of a row, so that nothing else here throws, and counts it as seen. @throws data-loss */
  check(table: FlatTable): void {
    const bytes = this.#textBytes(table);
    if (bytes < 0) {
      checkFields(this.reader, table);
      throw new Error(`The row at byte ${table} of a zTOC is sound and not`);
    }
    this.reader.charge(bytes);
    if (this.#xattrCount(table) !== 0) checkXattrs(this.reader, table);
  }

  offsetOf(table: FlatTable): number {
    this.#enter(table);
    return this.#int(table, FILE_METADATA.uncompressedOffset);
  }

  sizeOf(table: FlatTable): number {
    this.#enter(table);
    return this.#int(table, FILE_METADATA.uncompressedSize);
  }

  xattrsOf(table: FlatTable): readonly XattrRecord[] {
    this.#enter(table);
    if (this.#xattrCount(table) === 0) return NO_XATTRS;
    const { reader } = this;
    const vector = reader.vector(table, FILE_METADATA.xattrs, "xattrs");
    return Array.from({ length: vector.length }, (_, index) => {
      const xattr = reader.tableOf(vector, index, "xattr");
      return {
        key: reader.bytes(xattr, XATTR.key, "xattr key"),
        value: reader.bytes(xattr, XATTR.value, "xattr value"),
      };
    });
  }

  /** Reads a row that has been checked. */
  fill(table: FlatTable, row: FileRow): void {
    this.#enter(table);
    row.memory = this.#bytes;
    this.#locate(table, FILE_METADATA.name, row.name);
    this.#locate(table, FILE_METADATA.linkname, row.linkname);
    this.#locate(table, FILE_METADATA.uname, row.uname);
    this.#locate(table, FILE_METADATA.gname, row.gname);
    this.#locate(table, FILE_METADATA.modTime, row.modTime);
    row.type = this.#typeOf(table);
    row.uncompressedOffset = this.#int(table, FILE_METADATA.uncompressedOffset);
    row.uncompressedSize = this.#int(table, FILE_METADATA.uncompressedSize);
    row.mode = this.#modeOf(table);
    row.uid = this.#u32(table, FILE_METADATA.uid);
    row.gid = this.#u32(table, FILE_METADATA.gid);
    row.devmajor = this.#device(table, FILE_METADATA.devmajor);
    row.devminor = this.#device(table, FILE_METADATA.devminor);
    row.xattrs = this.xattrsOf(table);
  }

  /**
   * Makes the places those of the table's vtable, which lies inside the buffer. False for a vtable that
   * puts a field outside its table.
   */
  #enter(table: FlatTable): boolean {
    const view = this.#view;
    const vtable = table - view.getInt32(table, true);
    if (vtable === this.#vtable) return true;
    this.#vtable = NO_VTABLE;
    const vtableBytes = view.getUint16(vtable, true);
    const tableBytes = view.getUint16(vtable + 2, true);
    for (let slot = 0; slot < FILE_METADATA.slots; slot++) {
      const at = VTABLE_HEAD_BYTES + 2 * slot;
      const place = at + 2 > vtableBytes ? 0 : view.getUint16(vtable + at, true);
      if (place !== 0 && (place < 4 || place + (FIELD_BYTES[slot] ?? 0) > tableBytes)) return false;
      this.#places[slot] = place;
    }
    this.#vtable = vtable;
    return true;
  }

  /** Bytes of the row's texts; below 0 when something is wrong with it. */
  #textBytes(table: FlatTable): number {
    if (!this.#enter(table)) return -1;
    const view = this.#view;
    const last = this.#bytes.length - 4;
    let bytes = 0;
    for (const slot of TEXT_SLOTS) {
      const place = this.#places[slot] ?? 0;
      if (place === 0) continue;
      const target = table + place + view.getUint32(table + place, true);
      if (target > last) return -1;
      const length = view.getUint32(target, true);
      if (length > last - target) return -1;
      bytes += length;
    }
    const offset = this.#int(table, FILE_METADATA.uncompressedOffset);
    const size = this.#int(table, FILE_METADATA.uncompressedSize);
    return Number.isSafeInteger(offset) && Number.isSafeInteger(size) && offset >= 0 ? bytes : -1;
  }

  #xattrCount(table: FlatTable): number {
    const place = this.#places[FILE_METADATA.xattrs] ?? 0;
    if (place === 0) return 0;
    const target = table + place + this.#view.getUint32(table + place, true);
    return target > this.#bytes.length - 4 ? -1 : this.#view.getUint32(target, true);
  }

  #locate(table: FlatTable, slot: number, range: RowBytes): void {
    const place = this.#places[slot] ?? 0;
    if (place === 0) {
      range.start = 0;
      range.end = 0;
      return;
    }
    const target = table + place + this.#view.getUint32(table + place, true);
    range.start = target + 4;
    range.end = target + 4 + this.#view.getUint32(target, true);
  }

  #u32(table: FlatTable, slot: number): number {
    const place = this.#places[slot] ?? 0;
    return place === 0 ? 0 : this.#view.getUint32(table + place, true);
  }

  #int(table: FlatTable, slot: number): number {
    const place = this.#places[slot] ?? 0;
    if (place === 0) return 0;
    const low = this.#view.getUint32(table + place, true);
    return this.#view.getInt32(table + place + 4, true) * 0x1_0000_0000 + low;
  }

  #modeOf(table: FlatTable): number | bigint {
    const mode = this.#int(table, FILE_METADATA.mode);
    return mode >= 0 && mode <= 0xffff_ffff
      ? mode
      : this.reader.int64(table, FILE_METADATA.mode, "mode");
  }

  #device(table: FlatTable, slot: number): bigint {
    // Not by the number: far above 2^53 two of them are one.
    return this.#int(table, slot) === 0 ? 0n : this.reader.int64(table, slot, "device");
  }

  /** One of our own strings for the types there are: no object for each row. */
  #typeOf(table: FlatTable): string {
    const place = this.#places[FILE_METADATA.type] ?? 0;
    if (place === 0) return "";
    const target = table + place + this.#view.getUint32(table + place, true);
    const length = this.#view.getUint32(target, true);
    for (const name of FILE_TYPES) {
      if (name.length === length && isTextAt(this.#bytes, target + 4, name)) return name;
    }
    return decoder.decode(this.#bytes.subarray(target + 4, target + 4 + length));
  }
}

function isTextAt(bytes: Uint8Array, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (bytes[start + i] !== text.charCodeAt(i)) return false;
  }
  return true;
}

/** All of a row, field by field. @throws data-loss */
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
  checkXattrs(reader, table);
}

function checkXattrs(reader: FlatbufferReader, table: FlatTable): void {
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
