/** Names of entry types as a zTOC spells them. */
export type FileType = "reg" | "dir" | "symlink" | "hardlink" | "char" | "block" | "fifo";

export const FILE_TYPES: readonly FileType[] = [
  "reg",
  "dir",
  "symlink",
  "hardlink",
  "char",
  "block",
  "fifo",
];

/** A pax record of an entry: real extended attributes have keys with the prefix `SCHILY.xattr.`. */
export interface XattrRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** One row of a TOC, as the zTOC's FileMetadata table holds it. Text is raw bytes of the tar header. */
export interface FileMetadata {
  readonly name: Uint8Array;
  /** A FileType in what we write; any text in what we read. */
  readonly type: string;
  readonly uncompressedOffset: number;
  readonly uncompressedSize: number;
  readonly linkname: Uint8Array;
  readonly mode: bigint;
  /** 0 to 2^32-1. */
  readonly uid: number;
  readonly gid: number;
  readonly uname: Uint8Array;
  readonly gname: Uint8Array;
  /** RFC 3339 with nanoseconds, UTC; empty when the year is outside 0 to 9999. */
  readonly modTime: string;
  readonly devmajor: bigint;
  readonly devminor: bigint;
  /** All local pax records, sorted by key bytes. */
  readonly xattrs: readonly XattrRecord[];
}
