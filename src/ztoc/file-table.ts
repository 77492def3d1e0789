import { ByteCursor } from "../bytes/byte-cursor.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { FILE_TYPES, type FileMetadata, type XattrRecord } from "./file-metadata.ts";

const SEGMENT_BYTES = 1 << 20;
const INDEX_ROWS = 1 << 14;

const TYPE_NAMES: readonly string[] = FILE_TYPES;
const OTHER_TYPE = 7;
/** Flags above the three bits of the type: the row holds the field in full, not its usual value. */
const WIDE_NUMBERS = 0x08;
const HAS_DEVICE = 0x10;
const HAS_XATTRS = 0x20;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

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
  #used = SEGMENT_BYTES;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Adds a row; nothing of `file` is kept. */
  append(file: FileMetadata): void {
    const row = this.#row;
    row.reset();
    writeRow(row, file);
    const bytes = row.view();
    this.#place(bytes);
  }

  /** Row `index`, 0 to length-1. Byte fields are views of the table: copy to change. */
  at(index: number): FileMetadata {
    const address = this.#index[Math.floor(index / INDEX_ROWS)]?.[index % INDEX_ROWS];
    if (address === undefined || index >= this.#length) {
      throw new RangeError(`Cannot take row ${index} of a file table of ${this.#length} rows`);
    }
    const { cursor, base } = this.#segmentOf(address);
    cursor.seek(address - base, "row");
    return readRow(cursor);
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

function writeRow(row: ByteWriter, file: FileMetadata): void {
  const type = TYPE_NAMES.indexOf(file.type);
  const isWide = !isSmall(file.mode) || file.uncompressedSize < 0;
  const hasDevice = file.devmajor !== 0n || file.devminor !== 0n;
  row.u8(
    (type < 0 ? OTHER_TYPE : type) |
      (isWide ? WIDE_NUMBERS : 0) |
      (hasDevice ? HAS_DEVICE : 0) |
      (file.xattrs.length > 0 ? HAS_XATTRS : 0),
  );
  if (type < 0) {
    writeBytes(row, encoder.encode(file.type));
  }
  row.varint(file.uncompressedOffset);
  if (isWide) {
    row.i64le(BigInt(file.uncompressedSize));
    row.i64le(file.mode);
  } else {
    row.varint(file.uncompressedSize);
    row.varint(Number(file.mode));
  }
  row.varint(file.uid);
  row.varint(file.gid);
  if (hasDevice) {
    row.i64le(file.devmajor);
    row.i64le(file.devminor);
  }
  writeBytes(row, file.name);
  writeBytes(row, file.linkname);
  writeBytes(row, file.uname);
  writeBytes(row, file.gname);
  writeBytes(row, encoder.encode(file.modTime));
  if (file.xattrs.length > 0) {
    row.varint(file.xattrs.length);
    for (const { key, value } of file.xattrs) {
      writeBytes(row, key);
      writeBytes(row, value);
    }
  }
}

function readRow(row: ByteCursor): FileMetadata {
  const flags = row.u8("flags");
  const type = FILE_TYPES[flags & OTHER_TYPE] ?? decoder.decode(readBytes(row));
  const uncompressedOffset = row.varint("offset");
  const isWide = (flags & WIDE_NUMBERS) !== 0;
  const uncompressedSize = isWide ? Number(row.i64le("size")) : row.varint("size");
  const mode = isWide ? row.i64le("mode") : BigInt(row.varint("mode"));
  const uid = row.varint("uid");
  const gid = row.varint("gid");
  const hasDevice = (flags & HAS_DEVICE) !== 0;
  return {
    type,
    uncompressedOffset,
    uncompressedSize,
    mode,
    uid,
    gid,
    devmajor: hasDevice ? row.i64le("devmajor") : 0n,
    devminor: hasDevice ? row.i64le("devminor") : 0n,
    name: readBytes(row),
    linkname: readBytes(row),
    uname: readBytes(row),
    gname: readBytes(row),
    modTime: decoder.decode(readBytes(row)),
    xattrs: (flags & HAS_XATTRS) === 0 ? [] : readXattrs(row),
  };
}

function readXattrs(row: ByteCursor): readonly XattrRecord[] {
  const xattrs: XattrRecord[] = [];
  for (let count = row.varint("xattr count"); count > 0; count--) {
    xattrs.push({ key: readBytes(row), value: readBytes(row) });
  }
  return xattrs;
}

function isSmall(value: bigint): boolean {
  return value >= 0n && value <= 0xffff_ffffn;
}

function writeBytes(row: ByteWriter, value: Uint8Array): void {
  row.varint(value.length);
  row.bytes(value);
}

function readBytes(row: ByteCursor): Uint8Array {
  return row.bytes(row.varint("length"), "text");
}
