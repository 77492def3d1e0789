import type { Attributes } from "./attributes.ts";
import type { ByteName } from "./byte-name.ts";
import type { LayerDirectory, LayerInode, LayerNode } from "./layer-node.ts";

export type MergedNode = MergedDirectory | MergedInode;

/** A file of one layer: one object however many names it has. */
export interface MergedInode {
  readonly kind: "inode";
  /** Counted from 0 at the bottom. */
  readonly layer: number;
  readonly inode: LayerInode;
  readonly attributes: Attributes;
}

/** The layer that a directory comes from, as far as directories that no other layer touches go. */
export interface MergedLayer {
  /** Counted from 0 at the bottom. */
  readonly index: number;
  /** What stands for a node of the layer; `undefined` for a whiteout, or a link that leads nowhere. */
  merged(node: LayerNode): MergedNode | undefined;
}

/**
 * A directory of all layers that have it. Most are one layer's alone: such a one refers to the
 * layer's own, and its children are made when somebody asks, so that merging takes as long as the
 * layers above are large, however large those below.
 */
export class MergedDirectory {
  readonly kind = "directory";
  attributes: Attributes;
  #children: Map<ByteName, MergedNode> | undefined;
  #whole: WholeDirectory | undefined;

  /** An empty one without `whole`. */
  constructor(attributes: Attributes, whole?: WholeDirectory) {
    this.attributes = attributes;
    this.#whole = whole;
  }

  /** The layer's directory that this is a copy of; `undefined` once `children` has been asked for. */
  get whole(): WholeDirectory | undefined {
    return this.#whole;
  }

  get children(): Map<ByteName, MergedNode> {
    this.#children ??= this.#makeChildren();
    return this.#children;
  }

  #makeChildren(): Map<ByteName, MergedNode> {
    const children = new Map<ByteName, MergedNode>();
    if (this.#whole === undefined) return children;
    const { layer, directory } = this.#whole;
    this.#whole = undefined;
    for (const [name, node] of directory.children) {
      const merged = layer.merged(node);
      if (merged !== undefined) children.set(name, merged);
    }
    return children;
  }
}

export interface WholeDirectory {
  readonly layer: MergedLayer;
  readonly directory: LayerDirectory;
}
