import type { ByteCursor } from "../bytes/byte-cursor.ts";
import type { ByteWriter } from "../bytes/byte-writer.ts";
import { FILE_TYPES, type FileMetadata, type XattrRecord } from "./file-metadata.ts";

const OTHER_TYPE = 7;
/** Flags above the three bits of the type: the row holds the field in full, not its usual value. */
const WIDE_NUMBERS = 0x08;
const HAS_DEVICE = 0x10;
const HAS_XATTRS = 0x20;

const TYPE_NAMES: readonly string[] = FILE_TYPES;
const NOTHING = new Uint8Array(0);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes [start, end) of the row's memory. */
export interface RowBytes {
  start: number;
  end: number;
}

/** A row that lies encoded somewhere and can give all its fields at once, without objects for them. */
export interface EncodedFile extends FileMetadata {
  fill(row: FileRow): void;
}

/** Packs a row: about a hundred bytes for most files. */
export function writeFileRow(row: ByteWriter, file: FileMetadata): void {
  const type = TYPE_NAMES.indexOf(file.type);
  const isWide = !isSmall(file.mode) || file.uncompressedSize < 0;
  const hasDevice = file.devmajor !== 0n || file.devminor !== 0n;
  row.u8(
    (type < 0 ? OTHER_TYPE : type) |
      (isWide ? WIDE_NUMBERS : 0) |
      (hasDevice ? HAS_DEVICE : 0) |
      (file.xattrs.length > 0 ? HAS_XATTRS : 0),
  );
  if (type < 0) writeBytes(row, encoder.encode(file.type));
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
  if (file.xattrs.length === 0) return;
  row.varint(file.xattrs.length);
  for (const { key, value } of file.xattrs) {
    writeBytes(row, key);
    writeBytes(row, value);
  }
}

const TEXTS = ["name", "linkname", "uname", "gname"] as const;

/** A row taken apart in place: text stays where it is, and one FileRow serves for all rows. */
export class FileRow {
  /** What the ranges below are of. */
  memory: Uint8Array = NOTHING;
  readonly name: RowBytes = { start: 0, end: 0 };
  readonly linkname: RowBytes = { start: 0, end: 0 };
  readonly uname: RowBytes = { start: 0, end: 0 };
  readonly gname: RowBytes = { start: 0, end: 0 };
  readonly modTime: RowBytes = { start: 0, end: 0 };
  type = "";
  uncompressedOffset = 0;
  uncompressedSize = 0;
  mode: number | bigint = 0;
  uid = 0;
  gid = 0;
  devmajor = 0n;
  devminor = 0n;
  xattrs: readonly XattrRecord[] = [];

  #scratch = NOTHING;

  /** Takes the fields of `file`. Of one that is not encoded the texts are copied. */
  read(file: FileMetadata): void {
    if ("fill" in file) (file as EncodedFile).fill(this);
    else this.#copy(file);
  }

  /** Takes the row at the cursor, which reads `memory`. */
  decode(memory: Uint8Array, cursor: ByteCursor): void {
    this.memory = memory;
    const flags = cursor.u8("flags");
    this.type =
      TYPE_NAMES[flags & OTHER_TYPE] ??
      decoder.decode(cursor.bytes(cursor.varint("length"), "type"));
    this.uncompressedOffset = cursor.varint("offset");
    if ((flags & WIDE_NUMBERS) !== 0) {
      this.uncompressedSize = Number(cursor.i64le("size"));
      this.mode = cursor.i64le("mode");
    } else {
      this.uncompressedSize = cursor.varint("size");
      this.mode = cursor.varint("mode");
    }
    this.uid = cursor.varint("uid");
    this.gid = cursor.varint("gid");
    const hasDevice = (flags & HAS_DEVICE) !== 0;
    this.devmajor = hasDevice ? cursor.i64le("devmajor") : 0n;
    this.devminor = hasDevice ? cursor.i64le("devminor") : 0n;
    locate(cursor, this.name);
    locate(cursor, this.linkname);
    locate(cursor, this.uname);
    locate(cursor, this.gname);
    locate(cursor, this.modTime);
    this.xattrs = (flags & HAS_XATTRS) === 0 ? [] : readXattrs(cursor);
  }

  #copy(file: FileMetadata): void {
    const modTime = encoder.encode(file.modTime);
    const length = TEXTS.reduce((sum, text) => sum + file[text].length, modTime.length);
    if (this.#scratch.length < length) this.#scratch = new Uint8Array(2 * length);
    this.memory = this.#scratch;
    let at = 0;
    for (const text of TEXTS) at = this.#place(this[text], file[text], at);
    this.#place(this.modTime, modTime, at);
    this.type = file.type;
    this.uncompressedOffset = file.uncompressedOffset;
    this.uncompressedSize = file.uncompressedSize;
    this.mode = file.mode;
    this.uid = file.uid;
    this.gid = file.gid;
    this.devmajor = file.devmajor;
    this.devminor = file.devminor;
    this.xattrs = file.xattrs;
  }

  #place(range: RowBytes, bytes: Uint8Array, at: number): number {
    this.#scratch.set(bytes, at);
    range.start = at;
    range.end = at + bytes.length;
    return range.end;
  }

  /** The row as an object of its own; its byte fields are views of the memory. */
  toMetadata(): FileMetadata {
    const { memory } = this;
    const bytesOf = ({ start, end }: RowBytes) => memory.subarray(start, end);
    return {
      type: this.type,
      uncompressedOffset: this.uncompressedOffset,
      uncompressedSize: this.uncompressedSize,
      mode: BigInt(this.mode),
      uid: this.uid,
      gid: this.gid,
      devmajor: this.devmajor,
      devminor: this.devminor,
      name: bytesOf(this.name),
      linkname: bytesOf(this.linkname),
      uname: bytesOf(this.uname),
      gname: bytesOf(this.gname),
      modTime: decoder.decode(bytesOf(this.modTime)),
      xattrs: this.xattrs,
    };
  }
}

function locate(cursor: ByteCursor, range: RowBytes): void {
  const length = cursor.varint("length");
  range.start = cursor.offset;
  cursor.skip(length, "text");
  range.end = cursor.offset;
}

function readXattrs(cursor: ByteCursor): readonly XattrRecord[] {
  const xattrs: XattrRecord[] = [];
  for (let count = cursor.varint("xattr count"); count > 0; count--) {
    const key = cursor.bytes(cursor.varint("length"), "xattr key");
    xattrs.push({ key, value: cursor.bytes(cursor.varint("length"), "xattr value") });
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
