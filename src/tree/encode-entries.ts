import { FILE_TYPES, type FileMetadata } from "../ztoc/file-metadata.ts";
import { FileRow, type RowBytes } from "../ztoc/file-row.ts";
import { ByteHeap } from "./byte-heap.ts";
import {
  ENTRIES,
  ENTRY_EXTENT,
  OTHER_TYPE,
  RARE,
  ROW,
  SPARSE_FILE,
  XATTR,
} from "./entries-format.ts";
import type { Extent } from "./extent.ts";
import { encodeTable } from "./flat-table.ts";
import { putI64 } from "./u64.ts";
import { WordList } from "./word-list.ts";

const TYPE_NAMES: readonly string[] = FILE_TYPES;

const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();

/**
 * The entries of a layer in the order of its tar, and the runs of data of sparse files by number of
 * the entry, as bytes for decodeEntries(): all that a layer's tree is built of. @throws data-loss for too many
 */
export function encodeEntries(
  files: Iterable<FileMetadata>,
  sparse: ReadonlyMap<number, readonly Extent[]> = new Map(),
): Uint8Array {
  const encoder = new EntriesEncoder();
  for (const file of files) encoder.add(file);
  return encoder.finish(sparse);
}

class EntriesEncoder {
  readonly #row = new FileRow();
  readonly #rows = new WordList(1024 * ROW.words);
  readonly #rare = new WordList();
  readonly #xattrs = new WordList();
  readonly #text = new ByteHeap(65_536);
  #memory: Uint8Array = EMPTY;
  #source: Buffer = Buffer.from(EMPTY);

  add(file: FileMetadata): void {
    const row = this.#row;
    row.read(file);
    if (row.memory !== this.#memory) {
      this.#memory = row.memory;
      this.#source = Buffer.from(row.memory.buffer, row.memory.byteOffset, row.memory.length);
    }
    const type = TYPE_NAMES.indexOf(row.type);
    const rare = this.#addRare(row, type < 0);
    const at = this.#rows.extend(ROW.words);
    const { words } = this.#rows;
    words[at + ROW.type] = type < 0 ? OTHER_TYPE : type;
    words[at + ROW.text] = this.#text.length;
    words[at + ROW.nameLength] = this.#addText(row.name);
    words[at + ROW.linknameLength] = this.#addText(row.linkname);
    words[at + ROW.unameLength] = this.#addText(row.uname);
    words[at + ROW.gnameLength] = this.#addText(row.gname);
    words[at + ROW.modTimeLength] = this.#addText(row.modTime);
    words[at + ROW.rare] = rare;
    if (typeof row.mode === "number") words[at + ROW.mode] = row.mode;
    else putBigInt(words, at + ROW.mode, row.mode);
    words[at + ROW.uid] = row.uid;
    words[at + ROW.gid] = row.gid;
    putI64(words, at + ROW.size, row.uncompressedSize);
    putI64(words, at + ROW.offset, row.uncompressedOffset);
  }

  finish(sparse: ReadonlyMap<number, readonly Extent[]>): Uint8Array {
    const files = new WordList();
    const extents = new WordList();
    for (const [entry, runs] of sparse) {
      const at = files.extend(SPARSE_FILE.words);
      files.words[at + SPARSE_FILE.entry] = entry;
      files.words[at + SPARSE_FILE.first] = extents.length / ENTRY_EXTENT.words;
      files.words[at + SPARSE_FILE.count] = runs.length;
      for (const { offset, length } of runs) {
        const run = extents.extend(ENTRY_EXTENT.words);
        putI64(extents.words, run + ENTRY_EXTENT.offset, offset);
        putI64(extents.words, run + ENTRY_EXTENT.length, length);
      }
    }
    return encodeTable(ENTRIES, [
      this.#rows.view(),
      this.#rare.view(),
      this.#xattrs.view(),
      this.#text.view(),
      files.view(),
      extents.view(),
    ]);
  }

  #addRare({ type, devmajor, devminor, xattrs }: FileRow, isOther: boolean): number {
    if (!isOther && devmajor === 0n && devminor === 0n && xattrs.length === 0) return 0;
    const at = this.#rare.extend(RARE.words);
    const { words } = this.#rare;
    putBigInt(words, at + RARE.devmajor, devmajor);
    putBigInt(words, at + RARE.devminor, devminor);
    words[at + RARE.typeStart] = this.#text.length;
    words[at + RARE.typeLength] = isOther ? this.#addBytes(encoder.encode(type)) : 0;
    words[at + RARE.firstXattr] = this.#xattrs.length / XATTR.words;
    words[at + RARE.xattrCount] = xattrs.length;
    for (const { key, value } of xattrs) {
      const xattr = this.#xattrs.extend(XATTR.words);
      this.#xattrs.words[xattr + XATTR.start] = this.#text.length;
      this.#xattrs.words[xattr + XATTR.keyLength] = this.#addBytes(key);
      this.#xattrs.words[xattr + XATTR.valueLength] = this.#addBytes(value);
    }
    return this.#rare.length / RARE.words;
  }

  #addText({ start, end }: RowBytes): number {
    this.#text.appendRange(this.#source, start, end);
    return end - start;
  }

  #addBytes(bytes: Uint8Array): number {
    this.#text.append(bytes);
    return bytes.length;
  }
}

function putBigInt(words: Uint32Array, at: number, value: bigint): void {
  words[at] = Number(BigInt.asUintN(32, value));
  words[at + 1] = Number(BigInt.asUintN(32, value >> 32n));
}
