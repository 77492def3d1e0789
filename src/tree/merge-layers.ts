import { SociError } from "../errors.ts";
import { DEFAULT_DIRECTORY } from "./attributes.ts";
import { type ByteName, joinNames, quoteName } from "./byte-name.ts";
import { DirectoryAttributes } from "./directory-attributes.ts";
import type { FileTree } from "./file-tree.ts";
import type { LayerDirectory, LayerInode, LayerTree, LowerLink } from "./layer-node.ts";
import { type FollowBudget, followSymlinks } from "./layer-path.ts";
import type { MergedDirectory, MergedInode, MergedNode } from "./merged-node.ts";
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
  const root: MergedDirectory = {
    kind: "directory",
    children: new Map(),
    attributes: DEFAULT_DIRECTORY,
  };
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

class LayerMerge {
  readonly #index: number;
  readonly #layer: LayerTree;
  readonly #state: MergeState;
  readonly #hardLinked = new Map<LayerInode, MergedInode>();
  readonly #lowerLinks = new Map<LowerLink, MergedInode>();

  constructor(index: number, layer: LayerTree, state: MergeState) {
    this.#index = index;
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

  // As deep as a path has names: at most 2,048, which the layer's builder sees to.
  #applyChildren(from: LayerDirectory, to: MergedDirectory, path: ByteName[]): void {
    for (const [name, node] of from.children) {
      if (node.kind === "whiteout") {
        to.children.delete(name);
      } else if (node.kind === "inode") {
        to.children.set(name, this.#merged(node));
      } else if (node.kind === "lower-link") {
        const target = this.#lowerLinks.get(node);
        if (target !== undefined) to.children.set(name, target);
      } else {
        path.push(name);
        this.#applyDirectory(node, path, { from, to });
        path.pop();
      }
    }
  }

  #applyDirectory(
    directory: LayerDirectory,
    path: ByteName[],
    { from, to }: { readonly from: LayerDirectory; readonly to: MergedDirectory },
  ): void {
    const name = path.at(-1);
    if (name === undefined) throw new Error("The root is not in a directory");
    const attributes = this.#state.directories.resolve(directory, path, from);
    let merged = to.children.get(name);
    if (merged?.kind !== "directory" || directory.opaque) {
      merged = { kind: "directory", children: new Map(), attributes };
      to.children.set(name, merged);
    }
    merged.attributes = attributes;
    this.#applyChildren(directory, merged, path);
  }

  #merged(inode: LayerInode): MergedInode {
    const known = this.#hardLinked.get(inode);
    if (known !== undefined) return known;
    const { attributes } = inode;
    const merged: MergedInode = { kind: "inode", layer: this.#index, inode, attributes };
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
      `Cannot merge layer ${this.#index}: entry ${link.entry} is a hard link to ${quoteName(joinNames(link.target))}, which is no file of it or of a layer below`,
    );
  }
}
