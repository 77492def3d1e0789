import type { TableKind } from "./flat-table.ts";
import { XATTR_SECTIONS } from "./xattr-table.ts";

export const CHAIN_TABLE: TableKind = {
  magic: "scbchain",
  what: "tree table of a chain of layers",
  version: 1,
};

/** Directories, their children, the children's names, the layers' digests, then xattrs. */
export const CHAIN_SECTIONS = 4 + XATTR_SECTIONS;

/** Words of a directory. Parents come before their children; the root is number 0 and its own parent. */
export const DIRECTORY = {
  words: 12,
  mode: 0,
  nlink: 1,
  uid: 2,
  gid: 3,
  mtimeSeconds: 4,
  mtimeNanoseconds: 6,
  parent: 7,
  firstChild: 8,
  childCount: 9,
  xattrSet: 10,
} as const;

/**
 * Words of a child. `kind` packs the type (4 bits of `st_mode`), the layer (20 bits) and the length of
 * the name (8 bits); `index` is a directory of this table or an entry of the layer.
 */
export const CHILD = { words: 3, nameStart: 0, kind: 1, index: 2 } as const;

export const MAX_LAYERS = 1 << 20;

export function packKind(mode: number, layer: number, nameLength: number): number {
  return (((mode >>> 12) << 28) | (layer << 8) | nameLength) >>> 0;
}

export function modeOfKind(kind: number): number {
  return (kind >>> 28) << 12;
}

export function layerOfKind(kind: number): number {
  return (kind >>> 8) & (MAX_LAYERS - 1);
}

export function nameLengthOfKind(kind: number): number {
  return kind & 0xff;
}
