import { badTable, openTable, type OpenTableOptions, wordsOf } from "./flat-table.ts";
import { EXTENT, INODE, LAYER_SECTIONS, LAYER_TABLE, SPARSE } from "./layer-table-format.ts";
import { type NodeAttributes, S_IFLNK, S_IFMT, S_IFREG } from "./node-attributes.ts";
import { getU64 } from "./u64.ts";
import { XattrTable } from "./xattr-table.ts";

/** Bytes of a file that lie together. Readers fill one object again and again. */
export interface FileRun {
  /** Where they lie in the layer's uncompressed tar; of a hole 0. */
  tarStart: number;
  length: number;
  isHole: boolean;
}

const EMPTY = new Uint8Array(0);

/**
 * The inodes of one layer that are no directories, by the number of the TOC entry that made them: a
 * table over bytes that are mapped from a file. All offsets are checked when it is opened; nothing
 * is copied then or later, and reading makes no objects but the views that come back, which die with
 * the bytes.
 */
export class LayerTable {
  readonly #inodes: Uint32Array;
  readonly #sparse: Uint32Array;
  readonly #extents: Uint32Array;
  readonly #targets: Uint8Array;
  readonly #xattrs: XattrTable;

  private constructor(bytes: Uint8Array, options: OpenTableOptions) {
    const sections = openTable(LAYER_TABLE, bytes, LAYER_SECTIONS, options);
    this.#inodes = wordsOf(LAYER_TABLE, sections[0] ?? EMPTY, INODE.words);
    this.#sparse = wordsOf(LAYER_TABLE, sections[1] ?? EMPTY, SPARSE.words);
    this.#extents = wordsOf(LAYER_TABLE, sections[2] ?? EMPTY, EXTENT.words);
    this.#targets = sections[3] ?? EMPTY;
    this.#xattrs = new XattrTable(LAYER_TABLE, sections.slice(4));
    if (options.isChecked !== true) this.#checkInodes();
  }

  /** @throws data-loss for bytes that encodeLayerTable() has not made */
  static open(bytes: Uint8Array, options: OpenTableOptions = {}): LayerTable {
    return new LayerTable(bytes, options);
  }

  /** Entries of the layer, also those that made no inode. */
  get entryCount(): number {
    return this.#inodes.length / INODE.words;
  }

  get hasXattrs(): boolean {
    return this.#xattrs.setCount > 0;
  }

  get hasAcls(): boolean {
    return this.#xattrs.hasAcls;
  }

  /** `st_mode`; 0 when the entry made no inode, or there is no such entry. */
  modeOf(entry: number): number {
    return this.#inodes[entry * INODE.words + INODE.mode] ?? 0;
  }

  /** Whether the entry made an inode, whose attributes are then in `out`. */
  attributes(entry: number, out: NodeAttributes): boolean {
    const words = this.#inodes;
    const at = entry * INODE.words;
    const mode = words[at + INODE.mode] ?? 0;
    if (mode === 0) return false;
    out.mode = mode;
    out.nlink = words[at + INODE.nlink] ?? 0;
    out.uid = words[at + INODE.uid] ?? 0;
    out.gid = words[at + INODE.gid] ?? 0;
    out.rdev = words[at + INODE.rdev] ?? 0;
    out.size = getU64(words, at + INODE.size);
    out.mtimeSeconds = getU64(words, at + INODE.mtimeSeconds);
    out.mtimeNanoseconds = words[at + INODE.mtimeNanoseconds] ?? 0;
    return true;
  }

  /** Bytes of a regular file; 0 for anything else. */
  sizeOf(entry: number): number {
    return this.#isType(entry, S_IFREG)
      ? getU64(this.#inodes, entry * INODE.words + INODE.size)
      : 0;
  }

  /** What a symlink points to; `undefined` for anything else. */
  target(entry: number): Uint8Array | undefined {
    if (!this.#isType(entry, S_IFLNK)) return undefined;
    const at = entry * INODE.words;
    const start = getU64(this.#inodes, at + INODE.dataOffset);
    return this.#targets.subarray(start, start + getU64(this.#inodes, at + INODE.size));
  }

  /** Where a regular file's bytes start in the layer's uncompressed tar; of a sparse one its runs. */
  dataOffset(entry: number): number {
    return this.#isType(entry, S_IFREG)
      ? getU64(this.#inodes, entry * INODE.words + INODE.dataOffset)
      : 0;
  }

  /** The value of an xattr; `undefined` when there is none of the name. */
  xattr(entry: number, name: Uint8Array): Uint8Array | undefined {
    return this.#xattrs.find(this.#xattrSet(entry), name);
  }

  /** All names of xattrs, each ended by a NUL. */
  xattrNames(entry: number): Uint8Array {
    return this.#xattrs.list(this.#xattrSet(entry));
  }

  isSparse(entry: number): boolean {
    return this.#sparseOf(entry) !== 0;
  }

  /**
   * The run of a regular file's bytes that begins at `offset`, which must be below its size: up to
   * where data and hole meet, or the data lies elsewhere.
   */
  run(entry: number, offset: number, out: FileRun): void {
    const left = this.sizeOf(entry) - offset;
    const number = this.#sparseOf(entry);
    if (number === 0) {
      out.tarStart = this.dataOffset(entry) + offset;
      out.length = left;
      out.isHole = false;
      return;
    }
    const first = this.#firstExtent(number);
    const end = first + this.#extentCount(number);
    const at = this.#extentEndingAfter(first, end, offset) * EXTENT.words;
    const start =
      at < end * EXTENT.words ? getU64(this.#extents, at + EXTENT.offset) : offset + left;
    if (offset < start) {
      out.tarStart = 0;
      out.length = start - offset;
      out.isHole = true;
      return;
    }
    out.tarStart = getU64(this.#extents, at + EXTENT.tarStart) + offset - start;
    out.length = getU64(this.#extents, at + EXTENT.length) + start - offset;
    out.isHole = false;
  }

  #extentEndingAfter(first: number, end: number, offset: number): number {
    let low = first;
    let high = end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = middle * EXTENT.words;
      const stop =
        getU64(this.#extents, at + EXTENT.offset) + getU64(this.#extents, at + EXTENT.length);
      if (stop <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #isType(entry: number, type: number): boolean {
    return (this.modeOf(entry) & S_IFMT) === type;
  }

  #xattrSet(entry: number): number {
    return this.#inodes[entry * INODE.words + INODE.xattrSet] ?? 0;
  }

  #sparseOf(entry: number): number {
    return this.#inodes[entry * INODE.words + INODE.sparse] ?? 0;
  }

  #firstExtent(sparse: number): number {
    return this.#sparse[(sparse - 1) * SPARSE.words + SPARSE.first] ?? 0;
  }

  #extentCount(sparse: number): number {
    return this.#sparse[(sparse - 1) * SPARSE.words + SPARSE.count] ?? 0;
  }

  #checkInodes(): void {
    const words = this.#inodes;
    const sparseCount = this.#sparse.length / SPARSE.words;
    const setCount = this.#xattrs.setCount;
    const targetBytes = this.#targets.length;
    for (let at = 0; at < words.length; at += INODE.words) {
      const mode = words[at + INODE.mode] ?? 0;
      const sparse = words[at + INODE.sparse] ?? 0;
      if (
        sparse > sparseCount ||
        (words[at + INODE.xattrSet] ?? 0) > setCount ||
        ((mode & S_IFMT) === S_IFLNK &&
          getU64(words, at + INODE.dataOffset) + getU64(words, at + INODE.size) > targetBytes)
      ) {
        throw badTable(LAYER_TABLE, `inode ${at / INODE.words} refers to what is not there`);
      }
      if (sparse !== 0) this.#checkSparse(sparse, getU64(words, at + INODE.size));
    }
  }

  #checkSparse(sparse: number, size: number): void {
    const first = this.#firstExtent(sparse);
    const end = first + this.#extentCount(sparse);
    const extentCount = this.#extents.length / EXTENT.words;
    if (end > extentCount) {
      throw badTable(LAYER_TABLE, `extents ${first} to ${end}, want at most ${extentCount}`);
    }
    let last = 0;
    for (let extent = first; extent < end; extent++) {
      const offset = getU64(this.#extents, extent * EXTENT.words + EXTENT.offset);
      const length = getU64(this.#extents, extent * EXTENT.words + EXTENT.length);
      if (offset < last || offset + length > size) {
        throw badTable(
          LAYER_TABLE,
          `an extent at ${offset} of ${length} bytes, want it from ${last} to ${size}`,
        );
      }
      last = offset + length;
    }
  }
}
