import { SociError } from "../errors.ts";
import { type Attributes, DEFAULT_DIRECTORY } from "./attributes.ts";
import { type ByteName, joinNames, quoteName } from "./byte-name.ts";
import { DirectoryAttributes } from "./directory-attributes.ts";
import type { FileTree } from "./file-tree.ts";
import type { LayerDirectory, LayerInode, LayerNode, LayerTree, LowerLink } from "./layer-node.ts";
import { type FollowBudget, followSymlinks } from "./layer-path.ts";
import {
  MergedDirectory,
  type MergedInode,
  type MergedLayer,
  type MergedNode,
} from "./merged-node.ts";
import { MergedTree } from "./merged-tree.ts";

/**
 * One tree of all layers, the lowest first, as overlayfs shows them once containerd has unpacked each
 * into a directory of its own: whiteouts and opaque directories hide what lies below and are gone, a
 * directory over a directory shows both with the attributes of the upper, anything else hides what it
 * covers. So a symlink of a lower layer is not followed on the way to an entry of an upper one, a
 * whiteout beside a directory of the same layer hides nothing, and neither does an opaque mark in a
 * layer's root, where overlayfs does not look for it. A hard link to a file of a lower layer, which
 * containerd takes only without overlayfs, is one more name of that file.
 * @throws data-loss for a hard link whose target is in no layer
 */
export function mergeLayers(layers: readonly LayerTree[]): FileTree {
  return new MergedTree(mergeToDirectory(layers));
}

/** What mergeLayers() looks at, as it is merged. @throws data-loss */
export function mergeToDirectory(layers: readonly LayerTree[]): MergedDirectory {
  const directories = new DirectoryAttributes();
  const root = new MergedDirectory(DEFAULT_DIRECTORY);
  const budget = { left: 50_000_000 };
  for (const [index, layer] of layers.entries()) {
    new LayerMerge(index, layer, { root, directories, budget }).apply();
    directories.addLayer(layer);
  }
  return root;
}

interface MergeState {
  readonly root: MergedDirectory;
  readonly directories: DirectoryAttributes;
  readonly budget: FollowBudget;
}

class LayerMerge implements MergedLayer {
  readonly index: number;
  readonly #layer: LayerTree;
  readonly #state: MergeState;
  readonly #hardLinked = new Map<LayerInode, MergedInode>();
  readonly #lowerLinks = new Map<LowerLink, MergedInode>();
  /** Of those directories that came as parents. */
  readonly #attributes = new Map<LayerDirectory, Attributes>();

  constructor(index: number, layer: LayerTree, state: MergeState) {
    this.index = index;
    this.#layer = layer;
    this.#state = state;
  }

  apply(): void {
    // Before anything of this layer changes what its links mean.
    for (const link of this.#layer.lowerLinks) this.#lowerLinks.set(link, this.#findBelow(link));
    const { root, directories } = this.#state;
    root.attributes = directories.resolve(this.#layer.root, []);
    this.#applyChildren(this.#layer.root, root, []);
  }

  merged(node: LayerNode): MergedNode | undefined {
    switch (node.kind) {
      case "whiteout":
        return undefined;
      case "lower-link":
        return this.#lowerLinks.get(node);
      case "inode":
        return this.#mergedInode(node);
      case "directory":
        return new MergedDirectory(this.#attributesOf(node), { layer: this, directory: node });
    }
  }

  // As deep as a path has names: at most 2,048, which the layer's builder sees to.
  #applyChildren(from: LayerDirectory, to: MergedDirectory, path: ByteName[]): void {
    for (const [name, node] of from.children) {
      if (node.kind !== "directory") {
        const merged = this.merged(node);
        if (merged !== undefined) to.children.set(name, merged);
        else if (node.kind === "whiteout") to.children.delete(name);
        continue;
      }
      path.push(name);
      this.#applyDirectory(node, path, { from, to });
      path.pop();
    }
  }

  #applyDirectory(
    directory: LayerDirectory,
    path: ByteName[],
    { from, to }: { readonly from: LayerDirectory; readonly to: MergedDirectory },
  ): void {
    const name = path.at(-1);
    if (name === undefined) throw new Error("The root is not in a directory");
    const merged = to.children.get(name);
    if (merged?.kind === "directory" && !directory.opaque) {
      merged.attributes = this.#resolve(directory, path, from);
      this.#applyChildren(directory, merged, path);
      return;
    }
    this.#resolve(directory, path, from);
    this.#resolveBelow(directory, path);
    const whole = new MergedDirectory(this.#attributesOf(directory), { layer: this, directory });
    to.children.set(name, whole);
  }

  /** Nothing lies below the directories in `from`, but their attributes may come from there. */
  #resolveBelow(from: LayerDirectory, path: ByteName[]): void {
    if (!this.#layer.hasImplied) return;
    for (const [name, node] of from.children) {
      if (node.kind !== "directory") continue;
      path.push(name);
      this.#resolve(node, path, from);
      this.#resolveBelow(node, path);
      path.pop();
    }
  }

  #resolve(
    directory: LayerDirectory,
    path: readonly ByteName[],
    parent: LayerDirectory,
  ): Attributes {
    const attributes = this.#state.directories.resolve(directory, path, parent);
    if (directory.implied) this.#attributes.set(directory, attributes);
    return attributes;
  }

  #attributesOf(directory: LayerDirectory): Attributes {
    const attributes = this.#attributes.get(directory) ?? directory.attributes;
    if (attributes === undefined) throw new Error("A directory has not been resolved");
    return attributes;
  }

  #mergedInode(inode: LayerInode): MergedInode {
    const known = this.#hardLinked.get(inode);
    if (known !== undefined) return known;
    const { attributes } = inode;
    const merged: MergedInode = { kind: "inode", layer: this.index, inode, attributes };
    if (inode.links > 1) this.#hardLinked.set(inode, merged);
    return merged;
  }

  #findBelow(link: LowerLink): MergedInode {
    const { root, budget } = this.#state;
    const directory = followSymlinks(root, link.target.slice(0, -1), budget);
    let node: MergedNode | undefined = root;
    for (const part of [...directory, ...link.target.slice(-1)]) {
      node = node?.kind === "directory" ? node.children.get(part) : undefined;
    }
    if (node?.kind === "inode") return node;
    throw new SociError(
      "data-loss",
      `Cannot merge layer ${this.index}: entry ${link.entry} is a hard link to ${quoteName(joinNames(link.target))}, which is no file of it or of a layer below`,
    );
  }
}
