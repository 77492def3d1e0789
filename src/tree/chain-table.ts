import {
  CHAIN_SECTIONS,
  CHAIN_TABLE,
  CHILD,
  DIRECTORY,
  layerOfKind,
  modeOfKind,
  nameLengthOfKind,
} from "./chain-table-format.ts";
import { badTable, openTable, type OpenTableOptions, wordsOf } from "./flat-table.ts";
import { DIRECTORY_SIZE, type NodeAttributes, S_IFDIR, S_IFMT } from "./node-attributes.ts";
import { getU64 } from "./u64.ts";
import { XattrTable } from "./xattr-table.ts";

/** A name in a directory. Readers fill one object again and again. */
export interface ChainChild {
  /** The name is bytes [nameStart, nameEnd) of the table's `names`. */
  nameStart: number;
  nameEnd: number;
  isDirectory: boolean;
  /** The type bits of `st_mode` alone. */
  type: number;
  /** Of a directory 0; else which layer of the chain, counted from 0 at the bottom. */
  layer: number;
  /** A directory of this table, or an entry of the layer. */
  index: number;
}

export function newChainChild(): ChainChild {
  return { nameStart: 0, nameEnd: 0, isDirectory: false, type: 0, layer: 0, index: 0 };
}

const EMPTY = new Uint8Array(0);

/**
 * The merged directories of a chain of layers: a table over bytes that are mapped from a file. The
 * root is directory 0. All offsets are checked when it is opened; nothing is copied then or later,
 * and reading makes no objects but the views that come back, which die with the bytes.
 */
export class ChainTable {
  /** What the layers are known by, the lowest first. */
  readonly layers: readonly string[];
  /** What ranges of names are of. */
  readonly names: Uint8Array;
  readonly #directories: Uint32Array;
  readonly #children: Uint32Array;
  readonly #xattrs: XattrTable;

  private constructor(bytes: Uint8Array, options: OpenTableOptions) {
    const sections = openTable(CHAIN_TABLE, bytes, CHAIN_SECTIONS, options);
    this.#directories = wordsOf(CHAIN_TABLE, sections[0] ?? EMPTY, DIRECTORY.words);
    this.#children = wordsOf(CHAIN_TABLE, sections[1] ?? EMPTY, CHILD.words);
    this.names = sections[2] ?? EMPTY;
    const digests = Buffer.from(sections[3] ?? EMPTY).toString("latin1");
    this.layers = digests === "" ? [] : digests.split("\n");
    this.#xattrs = new XattrTable(CHAIN_TABLE, sections.slice(4));
    if (options.isChecked === true) return;
    this.#checkDirectories();
    this.#checkChildren();
  }

  /** @throws data-loss for bytes that encodeChainTable() has not made */
  static open(bytes: Uint8Array, options: OpenTableOptions = {}): ChainTable {
    return new ChainTable(bytes, options);
  }

  get directoryCount(): number {
    return this.#directories.length / DIRECTORY.words;
  }

  /** Names in all directories. */
  get nameCount(): number {
    return this.#children.length / CHILD.words;
  }

  /** Whether directories have xattrs; what their files have is in the layers' tables. */
  get hasXattrs(): boolean {
    return this.#xattrs.setCount > 0;
  }

  get hasAcls(): boolean {
    return this.#xattrs.hasAcls;
  }

  /** Whether there is such a directory, whose attributes are then in `out`. */
  directoryAttributes(directory: number, out: NodeAttributes): boolean {
    const words = this.#directories;
    const at = directory * DIRECTORY.words;
    const mode = words[at + DIRECTORY.mode];
    if (mode === undefined) return false;
    out.mode = mode;
    out.nlink = words[at + DIRECTORY.nlink] ?? 0;
    out.uid = words[at + DIRECTORY.uid] ?? 0;
    out.gid = words[at + DIRECTORY.gid] ?? 0;
    out.rdev = 0;
    out.size = DIRECTORY_SIZE;
    out.mtimeSeconds = getU64(words, at + DIRECTORY.mtimeSeconds);
    out.mtimeNanoseconds = words[at + DIRECTORY.mtimeNanoseconds] ?? 0;
    return true;
  }

  /** The directory that holds this one; of the root itself. */
  parentOf(directory: number): number {
    return this.#directories[directory * DIRECTORY.words + DIRECTORY.parent] ?? 0;
  }

  /** Names in a directory, `.` and `..` not counted; 0 when there is no such directory. */
  childCount(directory: number): number {
    return this.#directories[directory * DIRECTORY.words + DIRECTORY.childCount] ?? 0;
  }

  /** Whether there is a child `position` (they are sorted by the bytes of their names), which is then in `out`. */
  childAt(directory: number, position: number, out: ChainChild): boolean {
    if (position < 0 || position >= this.childCount(directory)) return false;
    const first = this.#directories[directory * DIRECTORY.words + DIRECTORY.firstChild] ?? 0;
    this.#read(first + position, out);
    return true;
  }

  /** Whether the directory has this name, whose node is then in `out`. */
  lookup(directory: number, name: Uint8Array, out: ChainChild): boolean {
    let low = this.#directories[directory * DIRECTORY.words + DIRECTORY.firstChild] ?? 0;
    let high = low + this.childCount(directory);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = this.#compare(middle, name);
      if (order === 0) {
        this.#read(middle, out);
        return true;
      }
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return false;
  }

  /** A view of a child's name. */
  nameOf(child: ChainChild): Uint8Array {
    return this.names.subarray(child.nameStart, child.nameEnd);
  }

  /** The value of an xattr; `undefined` when there is none of the name. */
  xattr(directory: number, name: Uint8Array): Uint8Array | undefined {
    return this.#xattrs.find(this.#xattrSet(directory), name);
  }

  /** All names of xattrs, each ended by a NUL. */
  xattrNames(directory: number): Uint8Array {
    return this.#xattrs.list(this.#xattrSet(directory));
  }

  #xattrSet(directory: number): number {
    return this.#directories[directory * DIRECTORY.words + DIRECTORY.xattrSet] ?? 0;
  }

  #read(child: number, out: ChainChild): void {
    const at = child * CHILD.words;
    const start = this.#children[at + CHILD.nameStart] ?? 0;
    const kind = this.#children[at + CHILD.kind] ?? 0;
    const type = modeOfKind(kind);
    out.nameStart = start;
    out.nameEnd = start + nameLengthOfKind(kind);
    out.isDirectory = type === S_IFDIR;
    out.type = type;
    out.layer = layerOfKind(kind);
    out.index = this.#children[at + CHILD.index] ?? 0;
  }

  /** Below 0 when the child's name comes before `name`. */
  #compare(child: number, name: Uint8Array): number {
    const at = child * CHILD.words;
    const start = this.#children[at + CHILD.nameStart] ?? 0;
    const length = nameLengthOfKind(this.#children[at + CHILD.kind] ?? 0);
    const names = this.names;
    const shared = Math.min(length, name.length);
    for (let i = 0; i < shared; i++) {
      const order = (names[start + i] ?? 0) - (name[i] ?? 0);
      if (order !== 0) return order;
    }
    return length - name.length;
  }

  #checkDirectories(): void {
    const words = this.#directories;
    const { nameCount } = this;
    const setCount = this.#xattrs.setCount;
    if (words.length === 0) throw badTable(CHAIN_TABLE, "it has no root");
    let children = 0;
    for (let at = 0; at < words.length; at += DIRECTORY.words) {
      const index = at / DIRECTORY.words;
      const parent = words[at + DIRECTORY.parent] ?? 0;
      if (
        ((words[at + DIRECTORY.mode] ?? 0) & S_IFMT) !== S_IFDIR ||
        (index === 0 ? parent !== 0 : parent >= index) ||
        words[at + DIRECTORY.firstChild] !== children ||
        (words[at + DIRECTORY.xattrSet] ?? 0) > setCount
      ) {
        throw badTable(CHAIN_TABLE, `directory ${index} refers to what is not there`);
      }
      children += words[at + DIRECTORY.childCount] ?? 0;
    }
    if (children !== nameCount) {
      throw badTable(CHAIN_TABLE, `its directories hold ${children} names, want ${nameCount}`);
    }
  }

  #checkChildren(): void {
    const words = this.#children;
    const { directoryCount } = this;
    const layerCount = this.layers.length;
    let end = 0;
    let directories = 1;
    for (let at = 0; at < words.length; at += CHILD.words) {
      const kind = words[at + CHILD.kind] ?? 0;
      const nameLength = nameLengthOfKind(kind);
      const isDirectory = modeOfKind(kind) === S_IFDIR;
      if (
        words[at + CHILD.nameStart] !== end ||
        nameLength === 0 ||
        (isDirectory ? words[at + CHILD.index] !== directories : layerOfKind(kind) >= layerCount)
      ) {
        throw badTable(CHAIN_TABLE, `name ${at / CHILD.words} refers to what is not there`);
      }
      end += nameLength;
      if (isDirectory) directories++;
    }
    if (end !== this.names.length || directories !== directoryCount) {
      throw badTable(
        CHAIN_TABLE,
        `its names take ${end} bytes for ${directories} directories, want ${this.names.length} for ${directoryCount}`,
      );
    }
  }
}
