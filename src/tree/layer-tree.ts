import { SociError } from "../errors.ts";
import type { FileMetadata } from "../ztoc/file-metadata.ts";
import { FileRow, type RowBytes } from "../ztoc/file-row.ts";
import { type Attributes, AttributesReader, type NodeType, SETGID } from "./attributes.ts";
import { type ByteName, cleanPath, quoteName } from "./byte-name.ts";
import { KnownDirectories, type Place } from "./known-directories.ts";
import type { LayerDirectory, LayerInode, LayerNode, LayerTree, LowerLink } from "./layer-node.ts";
import { encodeDevice } from "./node-attributes.ts";
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

const EMPTY = new Uint8Array(0);

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
  readonly #row = new FileRow();
  readonly #attributes = new AttributesReader();
  readonly #inodes: LayerInode[] = [];
  #nodeCount = 0;
  #implied = 0;
  #hasLowerLinks = false;
  #entry = -1;
  // Whose bytes texts are made of: nearly always the same.
  #memory: Uint8Array = EMPTY;
  #text: Buffer = Buffer.from(EMPTY);
  readonly #known = new KnownDirectories();

  constructor({ name = "layer", maxNodes = 4_194_304 }: LayerTreeOptions) {
    this.#name = name;
    this.#maxNodes = maxNodes;
  }

  add(file: FileMetadata): void {
    this.#entry++;
    const row = this.#row;
    row.read(file);
    const rawName = this.#textOf(row.name);
    const place = this.#known.place(rawName) ?? this.#place(rawName);
    if (place === undefined) {
      if (row.type === "dir") this.#describe(this.#root, row);
      return;
    }
    const { parent, base } = place;
    if (base.startsWith(WHITEOUT_PREFIX)) {
      this.#whiteout(parent, base, rawName);
    } else if (row.type === "dir") {
      this.#addDirectory(place, row, rawName);
    } else if (row.type === "hardlink") {
      this.#addLink(place, row, rawName);
    } else {
      this.#addInode(place, row, rawName);
    }
  }

  finish(): LayerTree {
    return {
      root: this.#root,
      inodes: this.#inodes,
      lowerLinks: this.#hasLowerLinks ? this.#findLowerLinks() : [],
      hasImplied: this.#implied > 0,
      nodeCount: this.#nodeCount,
      entryCount: this.#entry + 1,
    };
  }

  /** Collected at the end: later entries may have replaced a link, or a directory that held it. */
  #findLowerLinks(): LowerLink[] {
    const lowerLinks: LowerLink[] = [];
    const directories = [this.#root];
    for (let next = directories.pop(); next !== undefined; next = directories.pop()) {
      for (const child of next.children.values()) {
        if (child.kind === "directory") directories.push(child);
        else if (child.kind === "lower-link") lowerLinks.push(child);
      }
    }
    return lowerLinks;
  }

  #textOf({ start, end }: RowBytes): ByteName {
    const { memory } = this.#row;
    if (memory !== this.#memory) {
      this.#memory = memory;
      this.#text = Buffer.from(memory.buffer, memory.byteOffset, memory.length);
    }
    return this.#text.toString("latin1", start, end) as ByteName;
  }

  /** The place of any path; `undefined` for the root. */
  #place(rawName: ByteName): Place | undefined {
    const path = cleanPath(rawName);
    this.#checkPath(rawName, path);
    const base = path.at(-1);
    if (base === undefined) return undefined;
    const parent = this.#parentOf(path, rawName);
    const pathBytes = path.reduce((sum, part) => sum + part.length + 1, -base.length - 1);
    this.#known.rememberParent(rawName, { parent, base, pathBytes });
    return { parent, base, pathBytes };
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

  #addDirectory(place: Place, row: FileRow, rawName: ByteName): void {
    const { parent, base } = place;
    let directory = parent.children.get(base);
    if (directory?.kind === "directory") {
      this.#describe(directory, row);
    } else {
      directory = newDirectory(false);
      directory.attributes = this.#attributes.read(row, "dir");
      this.#put(parent, base, directory);
    }
    this.#known.remember(rawName, place, directory);
  }

  #describe(directory: LayerDirectory, row: FileRow): void {
    this.#chargeXattrs(directory.attributes);
    directory.attributes =
      directory.attributes === undefined
        ? this.#attributes.read(row, "dir")
        : this.#attributes.readAgain(directory.attributes, row);
  }

  #addInode({ parent, base }: Place, row: FileRow, rawName: ByteName): void {
    const type = NODE_TYPES.get(row.type);
    if (type === undefined) {
      const shown = JSON.stringify(row.type.slice(0, 32));
      throw this.#refuse(rawName, `its type is ${shown}, want one of ${[...NODE_TYPES.keys()]}`);
    }
    const attributes = this.#attributes.read(row, type);
    if (type === "symlink") this.#checkTarget(attributes.target, rawName);
    // overlayfs' own form of a whiteout: unpacked as such, it hides what lies below and itself.
    // https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories
    if (type === "char" && encodeDevice(attributes.devmajor, attributes.devminor) === 0) {
      this.#put(parent, base, { kind: "whiteout" });
      return;
    }
    const inode: LayerInode = {
      kind: "inode",
      entry: this.#entry,
      attributes,
      uncompressedOffset: row.uncompressedOffset,
      links: 1,
    };
    this.#put(parent, base, inode);
    this.#inodes.push(inode);
  }

  #addLink({ parent, base }: Place, row: FileRow, rawName: ByteName): void {
    const rawTarget = this.#textOf(row.linkname);
    // Unpacking removes what has the name before it links, so a link to its own name finds nothing here.
    this.#remove(parent, base);
    const place = this.#known.place(rawTarget);
    const found = place?.parent.children.get(place.base) ?? this.#findTarget(rawTarget, rawName);
    if (found.kind === "directory") {
      throw this.#refuse(rawName, `it is a hard link to ${quoteName(rawTarget)}, a directory`);
    }
    if (found.kind === "inode") {
      this.#chargeXattrs(found.attributes);
      found.attributes = this.#attributes.readAgain(found.attributes, row);
      found.links++;
    }
    // On overlayfs a whiteout is a device node, and its second name hides as well.
    this.#put(parent, base, found);
  }

  /** What a hard link names, symlinks on the way followed; a link to a lower layer when this one has it not. */
  #findTarget(rawTarget: ByteName, rawName: ByteName): LayerNode {
    const target = cleanPath(rawTarget);
    const base = target.at(-1);
    if (base === undefined) throw this.#refuse(rawName, "it is a hard link to the root");
    const directory = followSymlinks(this.#root, target.slice(0, -1), this.#budget);
    const path = [...directory, base];
    const found = nodeAt(this.#root, path);
    if (found !== undefined) return found;
    this.#hasLowerLinks = true;
    return { kind: "lower-link", entry: this.#entry, target: path };
  }

  /** The directory that an entry goes to: symlinks followed, missing ones made. */
  #parentOf(path: readonly ByteName[], rawName: ByteName): LayerDirectory {
    if (path.length === 1) return this.#root;
    const wanted = path.slice(0, -1);
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
  }

  #remove(parent: LayerDirectory, name: ByteName): void {
    const existing = parent.children.get(name);
    if (existing === undefined) return;
    if (existing.kind === "directory" || isSymlink(existing)) {
      this.#known.forget();
    }
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

function isSymlink(node: LayerNode): boolean {
  return node.kind === "inode" && node.attributes.type === "symlink";
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
