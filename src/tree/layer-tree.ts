import { SociError } from "../errors.ts";
import type { FileMetadata } from "../ztoc/file-metadata.ts";
import {
  type Attributes,
  attributesOf,
  type NodeType,
  SETGID,
  withAttributesOf,
} from "./attributes.ts";
import { type ByteName, byteNameOf, cleanPath, joinNames, quoteName } from "./byte-name.ts";
import type { LayerDirectory, LayerNode, LayerTree, LowerLink } from "./layer-node.ts";
import { followSymlinks, MAX_NAME_BYTES, MAX_PATH_BYTES, nodeAt } from "./layer-path.ts";

export interface LayerTreeOptions {
  /** Names the layer in errors, as its digest does. */
  readonly name?: string;
  /** Names a tree may have: a few bytes of a hostile entry can imply thousands of directories. */
  readonly maxNodes?: number;
}

// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts
const WHITEOUT_PREFIX = ".wh.";
const META_PREFIX = ".wh..wh.";
const OPAQUE_MARK = ".wh..wh..opq";

const NODE_TYPES: ReadonlyMap<string, NodeType> = new Map([
  ["reg", "reg"],
  ["dir", "dir"],
  ["symlink", "symlink"],
  ["char", "char"],
  ["block", "block"],
  ["fifo", "fifo"],
]);

// What following symlinks and joining xattrs may cost over a whole layer: seconds of work, not hours.
const MAX_FOLLOWED = 50_000_000;

// Joining one takes as long as some steps of a path.
const XATTR_COST = 4;

// An entry's name of 4 KiB implies two thousand directories, which take two megabytes. Entries of a
// real layer have few parents that no entry describes.
const FREE_IMPLIED = 65_536;
const IMPLIED_PER_ENTRY = 4;

/**
 * The tree that a layer's entries unpack to on an empty directory, as containerd's unpacker makes it
 * for overlayfs: entries apply in order, the last of a name wins, a directory over a directory keeps
 * its children, missing parents are made, names never leave the root, symlinks of this layer are
 * followed on the way to a parent. Beyond it, a whiteout of a name that this layer holds is no
 * error: in any order, the layer's own node stays. @throws data-loss naming an entry that no
 * unpacker takes
 */
export function buildLayerTree(
  files: Iterable<FileMetadata>,
  options: LayerTreeOptions = {},
): LayerTree {
  const builder = new LayerTreeBuilder(options);
  for (const file of files) builder.add(file);
  return builder.finish();
}

class LayerTreeBuilder {
  readonly #name: string;
  readonly #maxNodes: number;
  readonly #root: LayerDirectory = newDirectory(true);
  readonly #budget = { left: MAX_FOLLOWED };
  #nodeCount = 0;
  #implied = 0;
  #entry = -1;
  // Most entries follow one of the same directory; forgotten whenever a path may have come to mean another node.
  #lastParent: { readonly path: string; readonly directory: LayerDirectory } | undefined;

  constructor({ name = "layer", maxNodes = 4_194_304 }: LayerTreeOptions) {
    this.#name = name;
    this.#maxNodes = maxNodes;
  }

  add(file: FileMetadata): void {
    this.#entry++;
    const rawName = byteNameOf(file.name);
    const path = cleanPath(rawName);
    const base = path.at(-1);
    this.#checkPath(rawName, path);
    if (base === undefined) {
      if (file.type === "dir") this.#describe(this.#root, file);
      return;
    }
    const parent = this.#parentOf(path, rawName);
    if (base.startsWith(WHITEOUT_PREFIX)) {
      this.#whiteout(parent, base, rawName);
    } else if (file.type === "dir") {
      this.#addDirectory(parent, base, file);
    } else if (file.type === "hardlink") {
      this.#addLink(parent, base, file, rawName);
    } else {
      this.#addInode(parent, base, file, rawName);
    }
  }

  finish(): LayerTree {
    // Collected at the end: later entries may have replaced a link, or a directory that held it.
    const lowerLinks: LowerLink[] = [];
    const directories = [this.#root];
    for (let next = directories.pop(); next !== undefined; next = directories.pop()) {
      for (const child of next.children.values()) {
        if (child.kind === "directory") directories.push(child);
        else if (child.kind === "lower-link") lowerLinks.push(child);
      }
    }
    return {
      root: this.#root,
      lowerLinks,
      nodeCount: this.#nodeCount,
      entryCount: this.#entry + 1,
    };
  }

  #whiteout(parent: LayerDirectory, base: ByteName, rawName: ByteName): void {
    if (base === OPAQUE_MARK) {
      parent.opaque = true;
      return;
    }
    // Left over from aufs: they name nothing that an image has.
    if (base.startsWith(META_PREFIX)) return;
    const hidden = base.slice(WHITEOUT_PREFIX.length) as ByteName;
    if (hidden === "" || hidden === "." || hidden === "..") {
      throw this.#refuse(rawName, "it is a whiteout of no name");
    }
    if (!parent.children.has(hidden)) this.#put(parent, hidden, { kind: "whiteout" });
  }

  #addDirectory(parent: LayerDirectory, base: ByteName, file: FileMetadata): void {
    const existing = parent.children.get(base);
    if (existing?.kind === "directory") {
      this.#describe(existing, file);
      return;
    }
    const directory = newDirectory(false);
    directory.attributes = attributesOf(file, "dir");
    this.#put(parent, base, directory);
  }

  #describe(directory: LayerDirectory, file: FileMetadata): void {
    this.#chargeXattrs(directory.attributes);
    directory.attributes =
      directory.attributes === undefined
        ? attributesOf(file, "dir")
        : withAttributesOf(directory.attributes, file);
  }

  #addInode(parent: LayerDirectory, base: ByteName, file: FileMetadata, rawName: ByteName): void {
    const type = NODE_TYPES.get(file.type);
    if (type === undefined) {
      const shown = JSON.stringify(file.type.slice(0, 32));
      throw this.#refuse(rawName, `its type is ${shown}, want one of ${[...NODE_TYPES.keys()]}`);
    }
    const attributes = attributesOf(file, type);
    if (type === "symlink") this.#checkTarget(attributes.target, rawName);
    // overlayfs' own form of a whiteout: unpacked as such, it hides what lies below and itself.
    // https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories
    if (type === "char" && attributes.devmajor === 0 && attributes.devminor === 0) {
      this.#put(parent, base, { kind: "whiteout" });
      return;
    }
    this.#put(parent, base, {
      kind: "inode",
      entry: this.#entry,
      attributes,
      uncompressedOffset: file.uncompressedOffset,
      links: 1,
    });
  }

  #addLink(parent: LayerDirectory, base: ByteName, file: FileMetadata, rawName: ByteName): void {
    const target = cleanPath(byteNameOf(file.linkname));
    const targetBase = target.at(-1);
    if (targetBase === undefined) throw this.#refuse(rawName, "it is a hard link to the root");
    // Unpacking removes what has the name before it links, so a link to its own name finds nothing here.
    this.#remove(parent, base);
    const directory = followSymlinks(this.#root, target.slice(0, -1), this.#budget);
    const found = nodeAt(this.#root, [...directory, targetBase]);
    if (found?.kind === "directory") {
      throw this.#refuse(
        rawName,
        `it is a hard link to ${quoteName(joinNames(target))}, a directory`,
      );
    }
    if (found?.kind === "inode") {
      this.#chargeXattrs(found.attributes);
      found.attributes = withAttributesOf(found.attributes, file);
      found.links++;
      this.#put(parent, base, found);
    } else if (found?.kind === "lower-link" || found?.kind === "whiteout") {
      // On overlayfs a whiteout is a device node, and its second name hides as well.
      this.#put(parent, base, found);
    } else {
      const path = [...directory, targetBase];
      this.#put(parent, base, { kind: "lower-link", entry: this.#entry, target: path });
    }
  }

  /** The directory that an entry goes to: symlinks followed, missing ones made. */
  #parentOf(path: readonly ByteName[], rawName: ByteName): LayerDirectory {
    if (path.length === 1) return this.#root;
    const wanted = path.slice(0, -1);
    const key = joinNames(wanted);
    if (this.#lastParent?.path === key) return this.#lastParent.directory;
    let directory = this.#root;
    for (const part of followSymlinks(this.#root, wanted, this.#budget)) {
      const child = directory.children.get(part);
      if (child?.kind === "directory") {
        directory = child;
      } else if (child === undefined || child.kind === "whiteout") {
        this.#checkImplied(part, rawName);
        const made = newDirectory(true, setgidGroupOf(directory));
        this.#put(directory, part, made);
        directory = made;
      } else {
        throw this.#refuse(rawName, `${quoteName(part)} on its path is not a directory`);
      }
    }
    this.#lastParent = { path: key, directory };
    return directory;
  }

  #checkImplied(name: ByteName, rawName: ByteName): void {
    // A symlink's target may hold names that no entry can have.
    if (name.length > MAX_NAME_BYTES) {
      throw this.#refuse(
        rawName,
        `its parent has a name of ${name.length} bytes, want at most ${MAX_NAME_BYTES}`,
      );
    }
    this.#implied++;
    const most = FREE_IMPLIED + IMPLIED_PER_ENTRY * (this.#entry + 1);
    if (this.#implied > most) {
      throw this.#refuse(rawName, `its parents are more than ${most} that no entry describes`);
    }
  }

  /** Each further entry of a node may add xattrs to those it has: many entries are quadratic work. */
  #chargeXattrs(attributes: Attributes | undefined): void {
    this.#budget.left -= XATTR_COST * (attributes?.xattrs.length ?? 0);
    if (this.#budget.left < 0) {
      throw new SociError(
        "data-loss",
        `Cannot build the tree of ${this.#name}: entry ${this.#entry} is one of too many that add xattrs to one node`,
      );
    }
  }

  #put(parent: LayerDirectory, name: ByteName, node: LayerNode): void {
    this.#remove(parent, name);
    this.#nodeCount++;
    if (this.#nodeCount > this.#maxNodes) {
      throw new SociError(
        "data-loss",
        `Cannot build the tree of ${this.#name}: more than ${this.#maxNodes} names`,
      );
    }
    parent.children.set(name, node);
    if (node.kind === "inode" && node.attributes.type === "symlink") this.#lastParent = undefined;
  }

  #remove(parent: LayerDirectory, name: ByteName): void {
    const existing = parent.children.get(name);
    if (existing === undefined) return;
    this.#lastParent = undefined;
    parent.children.delete(name);
    const gone: LayerNode[] = [existing];
    for (let node = gone.pop(); node !== undefined; node = gone.pop()) {
      this.#nodeCount--;
      if (node.kind === "inode") node.links--;
      if (node.kind === "directory") for (const child of node.children.values()) gone.push(child);
    }
  }

  #checkPath(rawName: ByteName, path: readonly ByteName[]): void {
    if (rawName.includes("\0")) throw this.#refuse(rawName, "it has a NUL byte");
    const bytes = path.reduce((sum, part) => sum + part.length + 1, -1);
    const tooLong = path.find((part) => part.length > MAX_NAME_BYTES);
    if (bytes > MAX_PATH_BYTES || tooLong !== undefined) {
      throw this.#refuse(
        rawName,
        `${bytes} bytes, want at most ${MAX_PATH_BYTES}, and ${MAX_NAME_BYTES} a name`,
      );
    }
  }

  #checkTarget(target: ByteName, rawName: ByteName): void {
    if (target === "" || target.length > MAX_PATH_BYTES || target.includes("\0")) {
      throw this.#refuse(
        rawName,
        `a symlink's target of ${target.length} bytes, want 1 to ${MAX_PATH_BYTES} and no NUL`,
      );
    }
  }

  #refuse(rawName: ByteName, what: string): SociError {
    return new SociError(
      "data-loss",
      `Cannot build the tree of ${this.#name}: entry ${this.#entry} ${quoteName(rawName)}: ${what}`,
    );
  }
}

function newDirectory(implied: boolean, group?: number): LayerDirectory {
  return {
    kind: "directory",
    children: new Map(),
    attributes: undefined,
    implied,
    group,
    opaque: false,
  };
}

/** The group that mkdir(2) gives to a directory in `parent`, when an entry has said so by now. */
function setgidGroupOf(parent: LayerDirectory): number | undefined {
  if (parent.attributes === undefined) return undefined;
  return (parent.attributes.mode & SETGID) === 0 ? 0 : parent.attributes.gid;
}
