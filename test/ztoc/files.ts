import fc from "fast-check";
import type { FileMetadata, XattrRecord } from "../../src/ztoc/file-metadata.ts";
import { FileTable } from "../../src/ztoc/file-table.ts";

const INT64 = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
const BYTES = fc.uint8Array({ maxLength: 40 });

/** Any row that a TOC can hold; the offsets are as they come. */
export const anyFile: fc.Arbitrary<FileMetadata> = fc.record({
  name: BYTES,
  type: fc.constantFrom("reg", "dir", "symlink", "hardlink", "char", "block", "fifo", "", "sökt"),
  uncompressedOffset: fc.maxSafeNat(),
  uncompressedSize: fc.maxSafeInteger(),
  linkname: BYTES,
  mode: fc.oneof(fc.constant(0n), fc.bigInt(0n, 0o7777n), INT64),
  uid: fc.nat(0xffff_ffff),
  gid: fc.nat(0xffff_ffff),
  uname: BYTES,
  gname: BYTES,
  modTime: fc.constantFrom("", "2020-09-13T12:26:40Z", "0000-01-01T00:00:00.5Z"),
  devmajor: fc.oneof(fc.constant(0n), INT64),
  devminor: fc.oneof(fc.constant(0n), INT64),
  xattrs: fc.array(fc.record({ key: BYTES, value: BYTES }), { maxLength: 3 }),
});

/** A row with empty text and zero numbers, but for `fields`. */
export function file(fields: Partial<FileMetadata> = {}): FileMetadata {
  const none = new Uint8Array(0);
  return {
    name: none,
    type: "reg",
    uncompressedOffset: 0,
    uncompressedSize: 0,
    linkname: none,
    mode: 0n,
    uid: 0,
    gid: 0,
    uname: none,
    gname: none,
    modTime: "",
    devmajor: 0n,
    devminor: 0n,
    xattrs: [],
    ...fields,
  };
}

export function tableOf(files: Iterable<FileMetadata>): FileTable {
  const table = new FileTable();
  for (const row of files) {
    table.append(row);
  }
  return table;
}

/** All fields of a row as an object of its own: rows of a decoded zTOC have getters and views. */
export function plain(row: FileMetadata): FileMetadata {
  const bytes = (view: Uint8Array) => Uint8Array.from(view);
  const xattr = ({ key, value }: XattrRecord) => ({ key: bytes(key), value: bytes(value) });
  return {
    name: bytes(row.name),
    type: row.type,
    uncompressedOffset: row.uncompressedOffset,
    uncompressedSize: row.uncompressedSize,
    linkname: bytes(row.linkname),
    mode: row.mode,
    uid: row.uid,
    gid: row.gid,
    uname: bytes(row.uname),
    gname: bytes(row.gname),
    modTime: row.modTime,
    devmajor: row.devmajor,
    devminor: row.devminor,
    xattrs: row.xattrs.map(xattr),
  };
}
