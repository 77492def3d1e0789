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
import { newNodeAttributes, S_IFDIR, S_IFMT, S_IFREG } from "../tree/node-attributes.ts";
import { ChainDirectory } from "./chain-directory.ts";
import { hostIdOf, type IdMappings } from "./id-map.ts";
import { indexOf, nodeIdOf, ROOT_ID, tableOf } from "./node-id.ts";
import type { MountFeatures } from "./mount-features.ts";
import { FileReads, type TarReader } from "./read-file.ts";
import { seekFile } from "./sparse-seek.ts";
import { type LayerState, StateFiles } from "./state-files.ts";

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
  /** What of it is local, for whoever looks; where nobody is told it is left out. */
  readonly state?: () => LayerState;
}

/** A read of bytes that are not in the cache. */
export interface MissedRead {
  readonly layer: number;
  readonly entry: number;
  readonly offset: number;
  readonly size: number;
}

/** Tables by their numbers, and the names under which chains are shown in a directory of them. */
export interface MountedTables {
  readonly chains: ReadonlyMap<number, MountedChain>;
  readonly layers: ReadonlyMap<number, MountedLayer>;
  /** Numbers of chains. */
  readonly names?: ReadonlyMap<string, number>;
}

/** What goes. */
export interface RemovedTables {
  readonly names: readonly string[];
  readonly tables: readonly number[];
}

export interface LazyFileSystemOptions extends MountedTables {
  /** The chain whose root the mount shows; undefined: it shows a directory of chains, by their names. */
  readonly rootChain: number | undefined;
  /** When the directory of chains was made. */
  readonly mtimeMs?: number;
  /** Default: what the tables have. */
  readonly features?: MountFeatures | undefined;
  /** Default: owners are shown as the image has them. */
  readonly ids?: IdMappings | undefined;
  /** Counts reads that the cache has answered, and their bytes. */
  readonly counts?: Float64Array | undefined;
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
const NO_XATTRS = new Uint8Array(0);

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
  readonly #chains = new Map<number, MountedChain>();
  readonly #layers = new Map<number, OpenLayer>();
  /** The node that the root is; ROOT_ID itself where it is a directory of chains. */
  readonly #root: number;
  readonly #directory: ChainDirectory | undefined;
  readonly #states: StateFiles | undefined;
  readonly #ids: IdMappings | undefined;
  readonly #onMiss: LazyFileSystemOptions["onMiss"];
  readonly #onInterrupt: LazyFileSystemOptions["onInterrupt"];
  readonly #attributes = newNodeAttributes();
  readonly #child: ChainChild = newChainChild();
  readonly #range = { entry: 0, offset: 0, size: 0 };
  readonly #counts: Float64Array;

  constructor(options: LazyFileSystemOptions) {
    const { chains, layers, names, rootChain, mtimeMs = 0, features, ids } = options;
    this.#root = rootChain === undefined ? ROOT_ID : nodeIdOf(rootChain, 0);
    this.#directory = rootChain === undefined ? new ChainDirectory(mtimeMs) : undefined;
    this.#ids = ids;
    this.#counts = options.counts ?? new Float64Array(2);
    this.#states =
      rootChain === undefined
        ? new StateFiles({
            layersOf: (chain) => this.#chains.get(chain)?.layers,
            stateOf: (layer) => this.#layers.get(layer)?.state?.(),
            mtimeMs,
          })
        : undefined;
    this.#onMiss = options.onMiss;
    this.#onInterrupt = options.onInterrupt;
    this.add({ chains, layers, ...(names === undefined ? {} : { names }) }, mtimeMs);
    const tables = [...chains.values(), ...layers.values()].map(({ table }) => table);
    this.hasXattrs = features?.xattrs ?? tables.some((table) => table.hasXattrs);
    this.hasAcls = features?.acls ?? tables.some((table) => table.hasAcls);
  }

  /**
   * Shows more: layers, chains over them and those there are, names for chains. `mtimeMs`, which grows,
   * is when. @throws already-exists for a name that is there; nothing is added then
   */
  add({ chains, layers, names = new Map() }: MountedTables, mtimeMs: number): void {
    this.#directory?.refuse(names.keys());
    for (const [number, layer] of layers) {
      this.#layers.set(number, { ...layer, files: new FileReads(layer.table) });
    }
    for (const [number, chain] of chains) this.#chains.set(number, chain);
    for (const [name, chain] of names) this.#directory?.add(name, chain, mtimeMs);
  }

  /** Names are absent from now on, and nodes of the tables stale; what is not there is passed over. */
  remove({ names, tables }: RemovedTables, mtimeMs: number): void {
    for (const name of names) this.#directory?.remove(name, mtimeMs);
    for (const table of tables) {
      this.#chains.delete(table);
      this.#layers.delete(table);
    }
  }

  lookup(parent: number, name: Uint8Array, attr: FuseAttr): number {
    const root = this.#rootDirectory(parent);
    if (root !== undefined) {
      const chain = root.find(name);
      return chain === undefined ? 0 : this.#entry(nodeIdOf(chain, 0), attr);
    }
    const directory = this.#chainOf(parent);
    if (directory === undefined) return this.#lookupState(parent, name, attr);
    const child = this.#child;
    const index = indexOf(this.#idOf(parent));
    if (!directory.table.lookup(index, name, child)) {
      const state = index === 0 ? this.#states?.directoryOf(tableOf(parent), name) : 0;
      return state === undefined || state === 0 ? 0 : this.#entry(state, attr);
    }
    return this.#entry(this.#nodeOf(parent, directory, child), attr);
  }

  getattr(node: number, attr: FuseAttr): number {
    const id = this.#idOf(node);
    const from = this.#attributes;
    const root = this.#rootDirectory(node);
    if (root !== undefined) {
      root.attributes(from);
      this.#fill(attr, id);
      return 0;
    }
    const index = indexOf(id);
    if (tableOf(id) === 0) return this.#stateAttributes(id, attr);
    const chain = this.#chains.get(tableOf(id));
    let isThere: boolean | undefined;
    if (chain !== undefined) isThere = chain.table.directoryAttributes(index, from);
    else isThere = this.#layers.get(tableOf(id))?.table.attributes(index, from);
    if (isThere !== true) return -ESTALE;
    this.#fill(attr, id);
    this.#setOwner(attr, from.uid, from.gid);
    return 0;
  }

  readlink(node: number): Uint8Array | number {
    const layer = this.#layers.get(tableOf(node));
    if (layer === undefined) return this.#isDirectory(node) ? -EINVAL : -ESTALE;
    const entry = indexOf(node);
    return layer.table.target(entry) ?? (layer.table.modeOf(entry) === 0 ? -ESTALE : -EINVAL);
  }

  read(request: ReadRequest, target: ReadTarget): number {
    const number = tableOf(request.node);
    const layer = this.#layers.get(number);
    if (layer === undefined) return this.#readState(request, target);
    const range = this.#range;
    range.entry = indexOf(request.node);
    range.offset = request.offset;
    range.size = request.size;
    const mode = layer.table.modeOf(range.entry);
    if ((mode & S_IFMT) !== S_IFREG) return mode === 0 ? -ESTALE : -EINVAL;
    const result = layer.files.read(range, layer.reader, target);
    if (result >= 0) {
      const counts = this.#counts;
      counts[0] = (counts[0] ?? 0) + 1;
      counts[1] = (counts[1] ?? 0) + result;
      return result;
    }
    const { entry, offset, size } = range;
    this.#onMiss(request, { layer: number, entry, offset, size }, result);
    return PENDING;
  }

  childCount(node: number): number {
    const root = this.#rootDirectory(node);
    if (root !== undefined) return root.length;
    const chain = this.#chainOf(node);
    if (chain === undefined) {
      return this.#isStateDirectory(node)
        ? (this.#states?.childCount(node) ?? 0)
        : this.#noDirectory(node);
    }
    return chain.table.childCount(indexOf(this.#idOf(node)));
  }

  childAt(node: number, index: number, out: DirectoryChild): void {
    const root = this.#rootDirectory(node);
    if (root !== undefined) {
      out.name = root.nameAt(index);
      out.node = nodeIdOf(root.chainAt(index) ?? 0, 0);
      out.mode = S_IFDIR;
      return;
    }
    if (this.#isStateDirectory(node)) {
      this.#states?.childAt(node, index, out);
      return;
    }
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
    if (this.#states?.isDirectory(id) === true) return nodeIdOf(this.#states.chainOf(id), 0);
    const chain = this.#chains.get(tableOf(id));
    if (chain === undefined || id === this.#root) return node;
    if (this.#directory !== undefined && indexOf(id) === 0) return ROOT_ID;
    const parent = nodeIdOf(tableOf(id), chain.table.parentOf(indexOf(id)));
    return parent === this.#root ? ROOT_ID : parent;
  }

  getxattr(node: number, name: Uint8Array): Uint8Array | number {
    if (this.#hasNoXattrs(node)) return -ENODATA;
    const id = this.#idOf(node);
    const table = this.#tableOf(id);
    return table === undefined ? -ESTALE : (table.xattr(indexOf(id), name) ?? -ENODATA);
  }

  listxattr(node: number): Uint8Array | number {
    if (this.#hasNoXattrs(node)) return NO_XATTRS;
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

  isStable(directory: number): boolean {
    return this.#rootDirectory(directory) === undefined;
  }

  /** The directory of chains, if the node is it. */
  #rootDirectory(node: number): ChainDirectory | undefined {
    return node === ROOT_ID ? this.#directory : undefined;
  }

  #isDirectory(node: number): boolean {
    return (
      this.#chainOf(node) !== undefined ||
      this.#rootDirectory(node) !== undefined ||
      this.#isStateDirectory(node)
    );
  }

  #isStateDirectory(node: number): boolean {
    return tableOf(node) === 0 && this.#states?.isDirectory(node) === true;
  }

  /** The directory of chains, and the state of layers. */
  #hasNoXattrs(node: number): boolean {
    return this.#directory !== undefined && tableOf(node) === 0;
  }

  #lookupState(directory: number, name: Uint8Array, attr: FuseAttr): number {
    if (!this.#isStateDirectory(directory)) return this.#noDirectory(directory);
    const node = this.#states?.find(directory, name) ?? 0;
    return node === 0 ? 0 : this.#entry(node, attr);
  }

  #stateAttributes(node: number, attr: FuseAttr): number {
    this.#setOwner(attr, 0, 0);
    attr.ino = node;
    attr.blksize = BLOCK_BYTES;
    attr.isChanging = false;
    const failed = this.#states?.getattr(node, attr) ?? -ESTALE;
    attr.blocks = Math.ceil(attr.size / BLOCK_BYTES) * SECTORS_PER_BLOCK;
    return failed;
  }

  #readState({ node, offset, size }: ReadRequest, target: ReadTarget): number {
    const content = tableOf(node) === 0 ? this.#states?.content(node) : undefined;
    if (content === undefined) return this.#isDirectory(node) ? -EISDIR : -ESTALE;
    const part = content.subarray(offset, offset + size);
    target.bytes.set(part, target.slack);
    target.start = target.slack;
    target.end = target.slack + part.length;
    return part.length;
  }

  #entry(node: number, attr: FuseAttr): number {
    const failure = this.getattr(node, attr);
    return failure < 0 ? failure : node;
  }

  /** Puts what was last read into `attr`. */
  #fill(attr: FuseAttr, id: number): void {
    const from = this.#attributes;
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
    attr.isChanging = false;
  }

  #setOwner(attr: FuseAttr, uid: number, gid: number): void {
    const ids = this.#ids;
    attr.uid = ids === undefined ? uid : hostIdOf(ids.uids, uid);
    attr.gid = ids === undefined ? gid : hostIdOf(ids.gids, gid);
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
