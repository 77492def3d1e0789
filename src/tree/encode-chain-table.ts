import { SociError } from "../errors.ts";
import type { ByteName } from "./byte-name.ts";
import { CHAIN_TABLE, CHILD, DIRECTORY, MAX_LAYERS, packKind } from "./chain-table-format.ts";
import { encodeTable } from "./flat-table.ts";
import type { LayerInode, LayerTree } from "./layer-node.ts";
import { mergeToDirectory } from "./merge-layers.ts";
import type { MergedDirectory, MergedNode } from "./merged-node.ts";
import { S_IFDIR, TYPE_BITS } from "./node-attributes.ts";
import { putI64 } from "./u64.ts";
import { XattrTableWriter } from "./xattr-table.ts";

/** A layer of a chain, and its tree. */
export interface ChainLayer {
  /** What it is known by. */
  readonly digest: string;
  readonly tree: LayerTree;
}

/** The layers, the lowest first, merged as mergeLayers() does, as bytes for ChainTable.open(). @throws data-loss */
export function encodeChainTable(layers: readonly ChainLayer[]): Uint8Array {
  if (layers.length > MAX_LAYERS) {
    throw new SociError(
      "data-loss",
      `Cannot merge ${layers.length} layers: want at most ${MAX_LAYERS}`,
    );
  }
  const root = mergeToDirectory(layers.map(({ tree }) => tree));
  return new ChainTableEncoder(root).encode(layers.map(({ digest }) => digest));
}

class ChainTableEncoder {
  /** Level by level, so that a parent comes before its children. */
  readonly #directories: MergedDirectory[];
  readonly #parents: number[] = [0];
  readonly #xattrs = new XattrTableWriter();
  readonly #names: string[] = [];
  #nameBytes = 0;
  #children: Uint32Array;
  #childCount = 0;

  constructor(root: MergedDirectory) {
    this.#directories = [root];
    this.#children = new Uint32Array(1024 * CHILD.words);
  }

  encode(digests: readonly string[]): Uint8Array {
    const places: number[] = [];
    const subdirectories: number[] = [];
    // The loop takes in what it appends.
    for (const [index, directory] of this.#directories.entries()) {
      places.push(this.#childCount);
      const before = this.#directories.length;
      this.#addChildren(directory, index);
      subdirectories.push(this.#directories.length - before);
    }
    const words = new Uint32Array(this.#directories.length * DIRECTORY.words);
    for (const [index, directory] of this.#directories.entries()) {
      const at = index * DIRECTORY.words;
      const firstChild = places[index] ?? 0;
      putAttributes(words, at, directory);
      words[at + DIRECTORY.nlink] = 2 + (subdirectories[index] ?? 0);
      words[at + DIRECTORY.parent] = this.#parents[index] ?? 0;
      words[at + DIRECTORY.firstChild] = firstChild;
      words[at + DIRECTORY.childCount] = (places[index + 1] ?? this.#childCount) - firstChild;
      words[at + DIRECTORY.xattrSet] = this.#xattrs.add(directory.attributes.xattrs);
    }
    return encodeTable(CHAIN_TABLE, [
      words,
      this.#children.subarray(0, this.#childCount * CHILD.words),
      Buffer.from(this.#names.join(""), "latin1"),
      Buffer.from(digests.join("\n"), "latin1"),
      ...this.#xattrs.sections(),
    ]);
  }

  #addChildren(directory: MergedDirectory, parent: number): void {
    const { whole } = directory;
    if (whole === undefined) {
      const names = [...directory.children.keys()].sort();
      this.#reserve(names.length);
      for (const name of names) this.#addMerged(name, directory.children.get(name), parent);
      return;
    }
    // One layer's alone: as it is there, without an object for each of its files.
    const { children } = whole.directory;
    const names = [...children.keys()].sort();
    this.#reserve(names.length);
    for (const name of names) {
      const child = children.get(name);
      if (child?.kind === "inode") this.#addInode(name, child, whole.layer.index);
      else if (child !== undefined) this.#addMerged(name, whole.layer.merged(child), parent);
    }
  }

  #addMerged(name: ByteName, child: MergedNode | undefined, parent: number): void {
    if (child?.kind === "inode") {
      this.#addInode(name, child.inode, child.layer);
    } else if (child !== undefined) {
      this.#addName(name, S_IFDIR, 0, this.#directories.length);
      this.#directories.push(child);
      this.#parents.push(parent);
    }
  }

  #addInode(name: ByteName, { attributes, entry }: LayerInode, layer: number): void {
    this.#addName(name, TYPE_BITS[attributes.type], layer, entry);
  }

  #addName(name: ByteName, type: number, layer: number, index: number): void {
    const words = this.#children;
    const at = this.#childCount * CHILD.words;
    words[at + CHILD.nameStart] = this.#nameBytes;
    words[at + CHILD.kind] = packKind(type, layer, name.length);
    words[at + CHILD.index] = index;
    this.#names.push(name);
    this.#nameBytes += name.length;
    this.#childCount++;
  }

  #reserve(count: number): void {
    const wanted = (this.#childCount + count) * CHILD.words;
    if (wanted <= this.#children.length) return;
    const larger = new Uint32Array(Math.max(wanted, 2 * this.#children.length));
    larger.set(this.#children);
    this.#children = larger;
  }
}

function putAttributes(words: Uint32Array, at: number, { attributes }: MergedDirectory): void {
  words[at + DIRECTORY.mode] = S_IFDIR | attributes.mode;
  words[at + DIRECTORY.uid] = attributes.uid;
  words[at + DIRECTORY.gid] = attributes.gid;
  putI64(words, at + DIRECTORY.mtimeSeconds, attributes.mtime.seconds);
  words[at + DIRECTORY.mtimeNanoseconds] = attributes.mtime.nanoseconds;
}
