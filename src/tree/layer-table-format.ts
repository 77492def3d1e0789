import type { TableKind } from "./flat-table.ts";
import { XATTR_SECTIONS } from "./xattr-table.ts";

export const LAYER_TABLE: TableKind = {
  magic: "scbinode",
  what: "inode table of a layer",
  version: 1,
};

/** Inodes, sparse files, extents, symlink targets, then xattrs. */
export const LAYER_SECTIONS = 4 + XATTR_SECTIONS;

/** Words of an inode. A mode of 0: the entry made none. */
export const INODE = {
  words: 14,
  mode: 0,
  nlink: 1,
  uid: 2,
  gid: 3,
  rdev: 4,
  mtimeNanoseconds: 5,
  mtimeSeconds: 6,
  /** Of a symlink: of its target. */
  size: 8,
  /** Where a file's bytes start in the layer's tar, a symlink's target in its section. */
  dataOffset: 10,
  /** Number of a sparse file, from 1 on; else 0. */
  sparse: 12,
  xattrSet: 13,
} as const;

export const SPARSE = { words: 2, first: 0, count: 1 } as const;

/** `tarStart` is where the run lies in the layer's tar. */
export const EXTENT = { words: 6, offset: 0, length: 2, tarStart: 4 } as const;
