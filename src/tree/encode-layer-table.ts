import type { Attributes } from "./attributes.ts";
import type { Extent } from "./extent.ts";
import { encodeTable } from "./flat-table.ts";
import type { LayerInode, LayerTree } from "./layer-node.ts";
import { EXTENT, INODE, LAYER_TABLE, SPARSE } from "./layer-table-format.ts";
import { encodeDevice, TYPE_BITS } from "./node-attributes.ts";
import { putI64 } from "./u64.ts";
import { XattrTableWriter } from "./xattr-table.ts";

export interface LayerTableOptions {
  /** Runs of data of sparse files, by number of the entry. */
  readonly sparse?: ReadonlyMap<number, readonly Extent[]>;
}

/** All inodes of a layer that are no directories as bytes for LayerTable.open(). @throws data-loss for too many */
export function encodeLayerTable(
  tree: LayerTree,
  { sparse = new Map() }: LayerTableOptions = {},
): Uint8Array {
  return new LayerTableEncoder(tree.entryCount, sparse).encode(tree.inodes);
}

class LayerTableEncoder {
  readonly #inodes: Uint32Array;
  readonly #sparseByEntry: ReadonlyMap<number, readonly Extent[]>;
  readonly #sparse: number[] = [];
  readonly #extents: Extent[] = [];
  readonly #tarStarts: number[] = [];
  readonly #targets: string[] = [];
  #targetBytes = 0;
  readonly #xattrs = new XattrTableWriter();

  constructor(entryCount: number, sparse: ReadonlyMap<number, readonly Extent[]>) {
    this.#inodes = new Uint32Array(entryCount * INODE.words);
    this.#sparseByEntry = sparse;
  }

  encode(inodes: readonly LayerInode[]): Uint8Array {
    for (const inode of inodes) {
      if (inode.links > 0) this.#put(inode);
    }
    return encodeTable(LAYER_TABLE, [
      this.#inodes,
      Uint32Array.from(this.#sparse),
      this.#extentWords(),
      Buffer.from(this.#targets.join(""), "latin1"),
      ...this.#xattrs.sections(),
    ]);
  }

  #put(inode: LayerInode): void {
    const words = this.#inodes;
    const at = inode.entry * INODE.words;
    const { attributes } = inode;
    words[at + INODE.mode] = TYPE_BITS[attributes.type] | attributes.mode;
    words[at + INODE.nlink] = inode.links;
    words[at + INODE.uid] = attributes.uid;
    words[at + INODE.gid] = attributes.gid;
    words[at + INODE.rdev] = encodeDevice(attributes.devmajor, attributes.devminor);
    words[at + INODE.mtimeNanoseconds] = attributes.mtime.nanoseconds;
    putI64(words, at + INODE.mtimeSeconds, attributes.mtime.seconds);
    putI64(words, at + INODE.size, attributes.size);
    putI64(words, at + INODE.dataOffset, this.#dataOffset(inode, attributes));
    words[at + INODE.sparse] = this.#addSparse(inode, attributes);
    words[at + INODE.xattrSet] = this.#xattrs.add(attributes.xattrs);
  }

  #dataOffset(inode: LayerInode, { type, target }: Attributes): number {
    if (type === "reg") return inode.uncompressedOffset;
    if (type !== "symlink") return 0;
    const start = this.#targetBytes;
    this.#targets.push(target);
    this.#targetBytes += target.length;
    return start;
  }

  #addSparse({ entry, uncompressedOffset }: LayerInode, { type }: Attributes): number {
    const extents = type === "reg" ? this.#sparseByEntry.get(entry) : undefined;
    if (extents === undefined) return 0;
    this.#sparse.push(this.#extents.length, extents.length);
    let tarStart = uncompressedOffset;
    for (const extent of extents) {
      this.#extents.push(extent);
      this.#tarStarts.push(tarStart);
      tarStart += extent.length;
    }
    return this.#sparse.length / SPARSE.words;
  }

  #extentWords(): Uint32Array {
    const words = new Uint32Array(this.#extents.length * EXTENT.words);
    for (const [index, { offset, length }] of this.#extents.entries()) {
      putI64(words, index * EXTENT.words + EXTENT.offset, offset);
      putI64(words, index * EXTENT.words + EXTENT.length, length);
      putI64(words, index * EXTENT.words + EXTENT.tarStart, this.#tarStarts[index] ?? 0);
    }
    return words;
  }
}
