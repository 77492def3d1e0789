import type { TableKind } from "./flat-table.ts";

export const ENTRIES: TableKind = {
  magic: "scbfiles",
  what: "entries of a layer",
  version: 1,
};

/** Rows, what few rows have, their xattrs, text, sparse files, extents. */
export const ENTRIES_SECTIONS = 6;

/** Type in a row: the place in FILE_TYPES, or this for any other text, which is then a `rare`. */
export const OTHER_TYPE = 7;

/** Words of a row. Its texts stand one after another from `text` on, in the order of their lengths here. */
export const ROW = {
  words: 16,
  type: 0,
  text: 1,
  nameLength: 2,
  linknameLength: 3,
  unameLength: 4,
  gnameLength: 5,
  modTimeLength: 6,
  /** Number of the `rare`, from 1 on; 0 for none. */
  rare: 7,
  mode: 8,
  uid: 10,
  gid: 11,
  size: 12,
  offset: 14,
} as const;

/** What most rows have not: a device's numbers, a type of another name, xattrs. */
export const RARE = {
  words: 8,
  devmajor: 0,
  devminor: 2,
  typeStart: 4,
  typeLength: 5,
  firstXattr: 6,
  xattrCount: 7,
} as const;

/** Key and value stand one after another. */
export const XATTR = { words: 3, start: 0, keyLength: 1, valueLength: 2 } as const;

export const SPARSE_FILE = { words: 3, entry: 0, first: 1, count: 2 } as const;

export const ENTRY_EXTENT = { words: 4, offset: 0, length: 2 } as const;
