import type { Attributes } from "./attributes.ts";
import type { ByteName } from "./byte-name.ts";
import type { LayerInode } from "./layer-node.ts";

export type MergedNode = MergedDirectory | MergedInode;

/** A directory of all layers that have it. */
export interface MergedDirectory {
  readonly kind: "directory";
  readonly children: Map<ByteName, MergedNode>;
  attributes: Attributes;
}

/** A file of one layer: one object however many names it has. */
export interface MergedInode {
  readonly kind: "inode";
  /** Counted from 0 at the bottom. */
  readonly layer: number;
  readonly inode: LayerInode;
  readonly attributes: Attributes;
}
