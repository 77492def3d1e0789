import type { Attributes } from "./attributes.ts";
import type { ByteName } from "./byte-name.ts";
import type { Content, DirectoryEntry, FileTree, NodeId } from "./file-tree.ts";
import type { MergedDirectory, MergedInode, MergedNode } from "./merged-node.ts";

/** A FileTree in memory. Node ids count up level by level, in the order of the names. */
export class MergedTree implements FileTree {
  readonly root = 0 as NodeId;
  readonly #nodes: readonly MergedNode[];
  readonly #ids = new Map<MergedNode, NodeId>();

  constructor(root: MergedDirectory) {
    const nodes: MergedNode[] = [root];
    this.#ids.set(root, this.root);
    // The loop takes in what it appends.
    for (const node of nodes) {
      if (node.kind !== "directory") continue;
      for (const child of sortedChildren(node)) {
        if (this.#ids.has(child)) continue;
        this.#ids.set(child, nodes.length as NodeId);
        nodes.push(child);
      }
    }
    this.#nodes = nodes;
  }

  get nodeCount(): number {
    return this.#nodes.length;
  }

  attributes(node: NodeId): Attributes {
    return this.#node(node).attributes;
  }

  lookup(directory: NodeId, name: ByteName): NodeId | undefined {
    const node = this.#node(directory);
    if (node.kind !== "directory") return undefined;
    const child = node.children.get(name);
    return child === undefined ? undefined : this.#idOf(child);
  }

  *list(directory: NodeId): Iterable<DirectoryEntry> {
    const node = this.#node(directory);
    if (node.kind !== "directory") return;
    for (const name of [...node.children.keys()].sort()) {
      const child = node.children.get(name);
      if (child !== undefined) yield { name, node: this.#idOf(child) };
    }
  }

  content(node: NodeId): Content | undefined {
    const file = this.#node(node);
    if (file.kind !== "inode" || file.attributes.type !== "reg") return undefined;
    const { entry, uncompressedOffset } = file.inode;
    return { layer: file.layer, uncompressedOffset, size: file.attributes.size, entry };
  }

  links(node: NodeId): number {
    const file = this.#node(node);
    return file.kind === "inode" ? file.inode.links : 1;
  }

  #node(id: NodeId): MergedDirectory | MergedInode {
    const node = this.#nodes[id];
    if (node === undefined) throw new Error(`No node ${id} in a tree of ${this.#nodes.length}`);
    return node;
  }

  #idOf(node: MergedNode): NodeId {
    const id = this.#ids.get(node);
    if (id === undefined) throw new Error("A node of the tree has no id");
    return id;
  }
}

function sortedChildren(directory: MergedDirectory): MergedNode[] {
  return [...directory.children.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, child]) => child);
}
