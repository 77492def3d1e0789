import {
  type DirectoryChild,
  type FuseAttr,
  type FuseStatfs,
  PENDING,
  type RawFileSystem,
  type ReadRequest,
  type ReadTarget,
} from "../fuse/filesystem.ts";
import { EINVAL, EISDIR, ENODATA, ENOTDIR, ENXIO, ESTALE } from "../sys/errno.ts";
import { type ChainChild, type ChainTable, newChainChild } from "../tree/chain-table.ts";
import type { LayerTable } from "../tree/layer-table.ts";
import { newNodeAttributes, S_IFMT, S_IFREG } from "../tree/node-attributes.ts";
import { indexOf, nodeIdOf, ROOT_ID, tableOf } from "./node-id.ts";
import { FileReads, type TarReader } from "./read-file.ts";
import { seekFile } from "./sparse-seek.ts";

/** The merged directories of one image. */
export interface MountedChain {
  readonly table: ChainTable;
  /** Table numbers of its layers, in their order. */
  readonly layers: readonly number[];
}

/** One layer: its inodes, and its bytes as far as they are in the cache. */
export interface MountedLayer {
  readonly table: LayerTable;
  readonly reader: TarReader;
}

/** A read of bytes that are not in the cache. */
export interface MissedRead {
  readonly layer: number;
  readonly entry: number;
  readonly offset: number;
  readonly size: number;
}

export interface LazyFileSystemOptions {
  /** By table number. */
  readonly chains: ReadonlyMap<number, MountedChain>;
  readonly layers: ReadonlyMap<number, MountedLayer>;
  /** The chain whose root the mount shows. */
  readonly rootChain: number;
  /** Has somebody answer a read that the cache cannot; `result` is what its reader gave instead of bytes. */
  readonly onMiss: (request: ReadRequest, missed: MissedRead, result: number) => void;
  /** Has whoever answers missed reads give up one of them. */
  readonly onInterrupt: (unique: bigint) => void;
}

const BLOCK_BYTES = 4096;
const SECTORS_PER_BLOCK = 8;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const MAX_NAME_BYTES = 255;

interface OpenLayer extends MountedLayer {
  readonly files: FileReads;
}

/**
 * Images as a file system, out of tables and the layer cache alone: what is in memory can be made
 * again from disk at any time. Reads that miss the cache are handed to somebody else.
 */
export class LazyFileSystem implements RawFileSystem {
  readonly hasXattrs: boolean;
  readonly hasAcls: boolean;
  readonly #chains: ReadonlyMap<number, MountedChain>;
  readonly #layers: ReadonlyMap<number, OpenLayer>;
  readonly #root: number;
  readonly #onMiss: LazyFileSystemOptions["onMiss"];
  readonly #onInterrupt: LazyFileSystemOptions["onInterrupt"];
  readonly #attributes = newNodeAttributes();
  readonly #child: ChainChild = newChainChild();
  readonly #range = { entry: 0, offset: 0, size: 0 };

  constructor({ chains, layers, rootChain, onMiss, onInterrupt }: LazyFileSystemOptions) {
    this.#chains = chains;
    this.#layers = new Map(
      Array.from(layers, ([number, layer]) => [
        number,
        { ...layer, files: new FileReads(layer.table) },
      ]),
    );
    this.#root = nodeIdOf(rootChain, 0);
    this.#onMiss = onMiss;
    this.#onInterrupt = onInterrupt;
    const tables = [...chains.values(), ...layers.values()].map(({ table }) => table);
    this.hasXattrs = tables.some((table) => table.hasXattrs);
    this.hasAcls = tables.some((table) => table.hasAcls);
  }

  lookup(parent: number, name: Uint8Array, attr: FuseAttr): number {
    const directory = this.#chainOf(parent);
    if (directory === undefined) return this.#noDirectory(parent);
    const child = this.#child;
    if (!directory.table.lookup(indexOf(this.#idOf(parent)), name, child)) return 0;
    const node = this.#nodeOf(parent, directory, child);
    const failure = this.getattr(node, attr);
    return failure < 0 ? failure : node;
  }

  getattr(node: number, attr: FuseAttr): number {
    const id = this.#idOf(node);
    const index = indexOf(id);
    const from = this.#attributes;
    const chain = this.#chains.get(tableOf(id));
    const isThere =
      chain === undefined
        ? this.#layers.get(tableOf(id))?.table.attributes(index, from)
        : chain.table.directoryAttributes(index, from);
    if (isThere !== true) return -ESTALE;
    attr.ino = id;
    attr.size = from.size;
    attr.blocks = Math.ceil(from.size / BLOCK_BYTES) * SECTORS_PER_BLOCK;
    attr.blksize = BLOCK_BYTES;
    attr.mtime = from.mtimeSeconds;
    attr.mtimeNsec = from.mtimeNanoseconds;
    attr.mode = from.mode;
    attr.nlink = from.nlink;
    attr.uid = from.uid;
    attr.gid = from.gid;
    attr.rdev = from.rdev;
    return 0;
  }

  readlink(node: number): Uint8Array | number {
    const layer = this.#layers.get(tableOf(node));
    if (layer === undefined) return this.#chainOf(node) === undefined ? -ESTALE : -EINVAL;
    const entry = indexOf(node);
    return layer.table.target(entry) ?? (layer.table.modeOf(entry) === 0 ? -ESTALE : -EINVAL);
  }

  read(request: ReadRequest, target: ReadTarget): number {
    const number = tableOf(request.node);
    const layer = this.#layers.get(number);
    if (layer === undefined) return this.#chainOf(request.node) === undefined ? -ESTALE : -EISDIR;
    const range = this.#range;
    range.entry = indexOf(request.node);
    range.offset = request.offset;
    range.size = request.size;
    const mode = layer.table.modeOf(range.entry);
    if ((mode & S_IFMT) !== S_IFREG) return mode === 0 ? -ESTALE : -EINVAL;
    const result = layer.files.read(range, layer.reader, target);
    if (result >= 0) return result;
    const { entry, offset, size } = range;
    this.#onMiss(request, { layer: number, entry, offset, size }, result);
    return PENDING;
  }

  childCount(node: number): number {
    const chain = this.#chainOf(node);
    if (chain === undefined) return this.#noDirectory(node);
    return chain.table.childCount(indexOf(this.#idOf(node)));
  }

  childAt(node: number, index: number, out: DirectoryChild): void {
    const chain = this.#chainOf(node);
    const child = this.#child;
    if (chain?.table.childAt(indexOf(this.#idOf(node)), index, child) !== true) {
      throw new RangeError(`Cannot list node ${node}: it has no name ${index}`);
    }
    out.name = chain.table.nameOf(child);
    out.node = this.#nodeOf(node, chain, child);
    out.mode = child.type;
  }

  parentOf(node: number): number {
    const id = this.#idOf(node);
    const chain = this.#chains.get(tableOf(id));
    if (chain === undefined || id === this.#root) return node;
    const parent = nodeIdOf(tableOf(id), chain.table.parentOf(indexOf(id)));
    return parent === this.#root ? ROOT_ID : parent;
  }

  getxattr(node: number, name: Uint8Array): Uint8Array | number {
    const id = this.#idOf(node);
    const table = this.#tableOf(id);
    return table === undefined ? -ESTALE : (table.xattr(indexOf(id), name) ?? -ENODATA);
  }

  listxattr(node: number): Uint8Array | number {
    const id = this.#idOf(node);
    return this.#tableOf(id)?.xattrNames(indexOf(id)) ?? -ESTALE;
  }

  lseek(node: number, offset: number, whence: number): number {
    const layer = this.#layers.get(tableOf(node));
    if (layer === undefined || (whence !== SEEK_DATA && whence !== SEEK_HOLE)) return -EINVAL;
    const entry = indexOf(node);
    if (offset < 0 || offset >= layer.table.sizeOf(entry)) return -ENXIO;
    const target = whence === SEEK_DATA ? "data" : "hole";
    return seekFile(layer.table, entry, { offset, target }) ?? -ENXIO;
  }

  /** As a full file system: nothing can be written. */
  statfs(out: FuseStatfs): number {
    let names = 0;
    for (const { table } of this.#chains.values()) names += table.nameCount;
    out.blocks = 0;
    out.bfree = 0;
    out.bavail = 0;
    out.files = names + this.#chains.size;
    out.ffree = 0;
    out.bsize = BLOCK_BYTES;
    out.namelen = MAX_NAME_BYTES;
    out.frsize = BLOCK_BYTES;
    return 0;
  }

  interrupt(unique: bigint): boolean {
    // Reads are all that can be pending, and whoever answers them knows which are.
    this.#onInterrupt(unique);
    return true;
  }

  isStable(): boolean {
    return true;
  }

  #idOf(node: number): number {
    return node === ROOT_ID ? this.#root : node;
  }

  #chainOf(node: number): MountedChain | undefined {
    return this.#chains.get(tableOf(this.#idOf(node)));
  }

  #tableOf(id: number): ChainTable | LayerTable | undefined {
    return (this.#chains.get(tableOf(id)) ?? this.#layers.get(tableOf(id)))?.table;
  }

  #noDirectory(node: number): number {
    return this.#layers.has(tableOf(node)) ? -ENOTDIR : -ESTALE;
  }

  #nodeOf(parent: number, { layers }: MountedChain, child: ChainChild): number {
    if (child.isDirectory) return nodeIdOf(tableOf(this.#idOf(parent)), child.index);
    return nodeIdOf(layers[child.layer] ?? 0, child.index);
  }
}
