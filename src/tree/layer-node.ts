import type { Attributes } from "./attributes.ts";
import type { ByteName } from "./byte-name.ts";

/** A name in one layer: what it puts there, or that it takes away what lies below. */
export type LayerNode = LayerDirectory | LayerInode | LayerWhiteout | LowerLink;

export interface LayerDirectory {
  readonly kind: "directory";
  readonly children: Map<ByteName, LayerNode>;
  /** `undefined` while no entry describes it: it came as the parent of another. */
  attributes: Attributes | undefined;
  /** It came as a parent, and so began as a copy of the directory below. */
  readonly implied: boolean;
  /** Of an implied one whose parent was already described: the group it was made with. */
  readonly group: number | undefined;
  /** Nothing of the directory below is to be seen. */
  opaque: boolean;
}

/** Anything but a directory. Hard links are further names of one LayerInode. */
export interface LayerInode {
  readonly kind: "inode";
  /** The TOC entry that made it, counted from 0: its identity within the layer. */
  readonly entry: number;
  attributes: Attributes;
  /** Where a regular file's bytes start in the layer's uncompressed tar. */
  readonly uncompressedOffset: number;
  /** How many names it has in this layer. */
  links: number;
}

export interface LayerWhiteout {
  readonly kind: "whiteout";
}

/** A hard link whose target this layer does not hold: it must be in the layers below. */
export interface LowerLink {
  readonly kind: "lower-link";
  readonly entry: number;
  /** Cleaned path of the target. */
  readonly target: readonly ByteName[];
}

/** The tree that one layer unpacks to, alone. Not changed once built: many images may share it. */
export interface LayerTree {
  readonly root: LayerDirectory;
  /** What its entries made that is no directory, in the order of the entries; some may have no name left. */
  readonly inodes: readonly LayerInode[];
  readonly lowerLinks: readonly LowerLink[];
  /** Whether some directory other than the root may have come as a parent. */
  readonly hasImplied: boolean;
  /** Names in the tree, whiteouts included. */
  readonly nodeCount: number;
  /** Entries that it was built of. */
  readonly entryCount: number;
}
