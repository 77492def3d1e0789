import type { FileMetadata } from "../ztoc/file-metadata.ts";
import {
  ENTRIES,
  ENTRIES_SECTIONS,
  ENTRY_EXTENT,
  OTHER_TYPE,
  RARE,
  ROW,
  SPARSE_FILE,
  XATTR,
} from "./entries-format.ts";
import { type EntrySections, EntryFile } from "./entry-file.ts";
import type { Extent } from "./extent.ts";
import { badTable, openTable, wordsOf } from "./flat-table.ts";
import { getI64, getU64 } from "./u64.ts";

/** A layer's entries as encodeEntries() was given them. */
export interface LayerEntries {
  /** Rows read their fields when asked: `{ ...row }` copies nothing. Views alias the encoded bytes. */
  readonly files: readonly FileMetadata[];
  readonly sparse: ReadonlyMap<number, readonly Extent[]>;
}

const EMPTY = new Uint8Array(0);

/** Takes apart what encodeEntries() made; all of it is checked here. @throws data-loss */
export function decodeEntries(bytes: Uint8Array): LayerEntries {
  const sections = openTable(ENTRIES, bytes, ENTRIES_SECTIONS);
  const parts: EntrySections = {
    rows: wordsOf(ENTRIES, sections[0] ?? EMPTY, ROW.words),
    rare: wordsOf(ENTRIES, sections[1] ?? EMPTY, RARE.words),
    xattrs: wordsOf(ENTRIES, sections[2] ?? EMPTY, XATTR.words),
    text: sections[3] ?? EMPTY,
  };
  checkRows(parts);
  checkRare(parts);
  checkXattrs(parts);
  const files: FileMetadata[] = [];
  for (let at = 0; at < parts.rows.length; at += ROW.words) files.push(new EntryFile(parts, at));
  return {
    files,
    sparse: sparseOf(
      parts,
      wordsOf(ENTRIES, sections[4] ?? EMPTY, SPARSE_FILE.words),
      wordsOf(ENTRIES, sections[5] ?? EMPTY, ENTRY_EXTENT.words),
    ),
  };
}

function checkRows({ rows, rare, text }: EntrySections): void {
  const rareCount = rare.length / RARE.words;
  for (let at = 0; at < rows.length; at += ROW.words) {
    const type = rows[at + ROW.type] ?? 0;
    const number = rows[at + ROW.rare] ?? 0;
    const textEnd =
      (rows[at + ROW.text] ?? 0) +
      (rows[at + ROW.nameLength] ?? 0) +
      (rows[at + ROW.linknameLength] ?? 0) +
      (rows[at + ROW.unameLength] ?? 0) +
      (rows[at + ROW.gnameLength] ?? 0) +
      (rows[at + ROW.modTimeLength] ?? 0);
    const offset = getU64(rows, at + ROW.offset);
    if (
      type > OTHER_TYPE ||
      (type === OTHER_TYPE && number === 0) ||
      number > rareCount ||
      textEnd > text.length ||
      offset > Number.MAX_SAFE_INTEGER ||
      !Number.isSafeInteger(getI64(rows, at + ROW.size))
    ) {
      throw badTable(ENTRIES, `entry ${at / ROW.words} refers to what is not there`);
    }
  }
}

function checkRare({ rare, xattrs, text }: EntrySections): void {
  const xattrCount = xattrs.length / XATTR.words;
  // One after another, as they were written: overlapping ones would be more than the bytes hold.
  let xattr = 0;
  for (let at = 0; at < rare.length; at += RARE.words) {
    const first = rare[at + RARE.firstXattr] ?? 0;
    const end = (rare[at + RARE.typeStart] ?? 0) + (rare[at + RARE.typeLength] ?? 0);
    if (end > text.length || first !== xattr) {
      throw badTable(ENTRIES, `details ${at / RARE.words} refer to what is not there`);
    }
    xattr = first + (rare[at + RARE.xattrCount] ?? 0);
  }
  if (xattr !== xattrCount) {
    throw badTable(ENTRIES, `its entries have ${xattr} xattrs, want ${xattrCount}`);
  }
}

function checkXattrs({ xattrs, text }: EntrySections): void {
  for (let at = 0; at < xattrs.length; at += XATTR.words) {
    const end =
      (xattrs[at + XATTR.start] ?? 0) +
      (xattrs[at + XATTR.keyLength] ?? 0) +
      (xattrs[at + XATTR.valueLength] ?? 0);
    if (end > text.length) {
      throw badTable(ENTRIES, `xattr ${at / XATTR.words} ends at ${end}, want ${text.length}`);
    }
  }
}

function sparseOf(
  { rows }: EntrySections,
  files: Uint32Array,
  extents: Uint32Array,
): ReadonlyMap<number, readonly Extent[]> {
  const sparse = new Map<number, readonly Extent[]>();
  let next = 0;
  for (let at = 0; at < files.length; at += SPARSE_FILE.words) {
    const entry = files[at + SPARSE_FILE.entry] ?? 0;
    const first = files[at + SPARSE_FILE.first] ?? 0;
    const count = files[at + SPARSE_FILE.count] ?? 0;
    const row = entry * ROW.words;
    if (
      first !== next ||
      first + count > extents.length / ENTRY_EXTENT.words ||
      row >= rows.length
    ) {
      throw badTable(ENTRIES, `the runs of entry ${entry} are not there`);
    }
    next = first + count;
    sparse.set(entry, extentsOf(extents, first, { count, size: getI64(rows, row + ROW.size) }));
  }
  return sparse;
}

function extentsOf(
  extents: Uint32Array,
  first: number,
  { count, size }: { readonly count: number; readonly size: number },
): readonly Extent[] {
  const list: Extent[] = [];
  let end = 0;
  for (let index = first; index < first + count; index++) {
    const offset = getU64(extents, index * ENTRY_EXTENT.words + ENTRY_EXTENT.offset);
    const length = getU64(extents, index * ENTRY_EXTENT.words + ENTRY_EXTENT.length);
    if (offset < end || offset + length > size) {
      throw badTable(
        ENTRIES,
        `a run of ${length} bytes at ${offset}, want it from ${end} to ${size}`,
      );
    }
    end = offset + length;
    list.push({ offset, length });
  }
  return list;
}
