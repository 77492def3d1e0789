import { SociError } from "../errors.ts";
import { type Attributes, DEFAULT_DIRECTORY, mergeXattrs, SETGID } from "./attributes.ts";
import { type ByteName, joinNames, quoteName } from "./byte-name.ts";
import type { LayerDirectory, LayerNode, LayerTree } from "./layer-node.ts";
import { type FollowBudget, followSymlinks } from "./layer-path.ts";

/** Of looking for directories in lower layers: seconds of work, not hours. */
const MAX_STEPS = 200_000_000;

/**
 * Attributes of the directories of one chain of layers. One that came into its layer only as the
 * parent of an entry takes over those of the same path in the nearest layer below that has it:
 * containerd looks at each lower layer alone, following that layer's symlinks, and stops at the first
 * that has anything there, even if it is no directory.
 */
export class DirectoryAttributes {
  readonly #below: LayerTree[] = [];
  // Per chain, not in the layer's own tree: other images have other layers below it.
  readonly #implied = new Map<LayerDirectory, ImpliedAttributes>();
  readonly #budget: FollowBudget = { left: 50_000_000 };
  #stepsLeft = MAX_STEPS;

  /**
   * Attributes of a layer's directory at `path`; `parent` is the directory that holds it, none for the
   * root. Call once a directory, parents first, for the layers from the bottom up; addLayer() goes to
   * the next layer.
   */
  resolve(
    directory: LayerDirectory,
    path: readonly ByteName[],
    parent?: LayerDirectory,
  ): Attributes {
    const own = directory.attributes;
    if (own !== undefined && (!directory.implied || parent === undefined)) return own;
    const made = this.#inherit(path) ?? this.#make(directory, parent);
    const resolved =
      own === undefined ? made : { ...own, xattrs: mergeXattrs(made.xattrs, own.xattrs) };
    this.#implied.set(directory, { made, resolved });
    return resolved;
  }

  /** The layer has been resolved: those above may inherit from it. */
  addLayer(layer: LayerTree): void {
    this.#below.unshift(layer);
  }

  #inherit(path: readonly ByteName[]): Attributes | undefined {
    for (const layer of this.#below) {
      const found = this.#find(layer, path);
      if (found === undefined) continue;
      if (found.kind !== "directory") return undefined;
      return this.#implied.get(found)?.resolved ?? found.attributes;
    }
    return undefined;
  }

  /** What stands at `path`, or in its way; `undefined` when the layer has nothing there. */
  #find(layer: LayerTree, path: readonly ByteName[]): LayerNode | undefined {
    let node: LayerNode = layer.root;
    for (const part of path) {
      if (node.kind !== "directory") return node;
      this.#charge(path);
      const child = node.children.get(part);
      // Most layers have nothing there: then the rest of a long path is not walked.
      if (child === undefined) return undefined;
      if (isSymlink(child)) return this.#findFollowing(layer, path);
      node = child;
    }
    return node;
  }

  #findFollowing(layer: LayerTree, path: readonly ByteName[]): LayerNode | undefined {
    let node: LayerNode | undefined = layer.root;
    for (const part of followSymlinks(layer.root, path, this.#budget)) {
      if (node?.kind !== "directory") return node;
      node = node.children.get(part);
    }
    return node;
  }

  /** Deep directories of one layer times the layers below it are the square of a hostile image. */
  #charge(path: readonly ByteName[]): void {
    this.#stepsLeft--;
    if (this.#stepsLeft < 0) {
      throw new SociError(
        "data-loss",
        `Cannot merge layers: too many directories such as ${quoteName(joinNames(path))} are described by no entry and looked for in the layers below`,
      );
    }
  }

  // mkdir(2) in a setgid directory gives the new one its group; containerd then sets the mode alone.
  #make(directory: LayerDirectory, parent: LayerDirectory | undefined): Attributes {
    let gid = directory.group;
    if (gid === undefined && parent !== undefined) {
      // The parent had not been described when this one was made: it was as it had been made itself.
      const above = this.#implied.get(parent)?.made ?? DEFAULT_DIRECTORY;
      gid = (above.mode & SETGID) === 0 ? 0 : above.gid;
    }
    return gid === undefined || gid === 0 ? DEFAULT_DIRECTORY : { ...DEFAULT_DIRECTORY, gid };
  }
}

function isSymlink(node: LayerNode): boolean {
  return node.kind === "inode" && node.attributes.type === "symlink";
}

interface ImpliedAttributes {
  /** When it was made as a parent, before an entry described it. */
  readonly made: Attributes;
  readonly resolved: Attributes;
}
