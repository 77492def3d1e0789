import { FILE_TYPES, type XattrRecord } from "../ztoc/file-metadata.ts";
import type { EncodedFile, FileRow, RowBytes } from "../ztoc/file-row.ts";
import { RARE, ROW, XATTR } from "./entries-format.ts";
import { getI64, getU64 } from "./u64.ts";

/** The parts of encoded entries, checked. */
export interface EntrySections {
  readonly rows: Uint32Array;
  readonly rare: Uint32Array;
  readonly xattrs: Uint32Array;
  readonly text: Uint8Array;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const NO_XATTRS: readonly XattrRecord[] = [];

/** A row of decoded entries that reads its fields when asked for. */
export class EntryFile implements EncodedFile {
  readonly #parts: EntrySections;
  readonly #at: number;

  constructor(parts: EntrySections, at: number) {
    this.#parts = parts;
    this.#at = at;
  }

  fill(row: FileRow): void {
    const { rows, text } = this.#parts;
    const at = this.#at;
    row.memory = text;
    let end = rows[at + ROW.text] ?? 0;
    end = locate(row.name, end, rows[at + ROW.nameLength] ?? 0);
    end = locate(row.linkname, end, rows[at + ROW.linknameLength] ?? 0);
    end = locate(row.uname, end, rows[at + ROW.unameLength] ?? 0);
    end = locate(row.gname, end, rows[at + ROW.gnameLength] ?? 0);
    locate(row.modTime, end, rows[at + ROW.modTimeLength] ?? 0);
    row.type = this.type;
    row.uncompressedOffset = this.uncompressedOffset;
    row.uncompressedSize = this.uncompressedSize;
    row.mode = rows[at + ROW.mode + 1] === 0 ? (rows[at + ROW.mode] ?? 0) : this.mode;
    row.uid = rows[at + ROW.uid] ?? 0;
    row.gid = rows[at + ROW.gid] ?? 0;
    row.devmajor = this.devmajor;
    row.devminor = this.devminor;
    row.xattrs = this.xattrs;
  }

  get type(): string {
    const name = FILE_TYPES[this.#word(ROW.type)];
    if (name !== undefined) return name;
    const start = this.#rareWord(RARE.typeStart);
    const { text } = this.#parts;
    return decoder.decode(text.subarray(start, start + this.#rareWord(RARE.typeLength)));
  }

  get name(): Uint8Array {
    return this.#text(ROW.nameLength);
  }

  get linkname(): Uint8Array {
    return this.#text(ROW.linknameLength);
  }

  get uname(): Uint8Array {
    return this.#text(ROW.unameLength);
  }

  get gname(): Uint8Array {
    return this.#text(ROW.gnameLength);
  }

  get modTime(): string {
    return decoder.decode(this.#text(ROW.modTimeLength));
  }

  get uncompressedOffset(): number {
    return getU64(this.#parts.rows, this.#at + ROW.offset);
  }

  get uncompressedSize(): number {
    return getI64(this.#parts.rows, this.#at + ROW.size);
  }

  get mode(): bigint {
    return bigIntAt(this.#parts.rows, this.#at + ROW.mode);
  }

  get uid(): number {
    return this.#word(ROW.uid);
  }

  get gid(): number {
    return this.#word(ROW.gid);
  }

  get devmajor(): bigint {
    const at = this.#rareAt();
    return at < 0 ? 0n : bigIntAt(this.#parts.rare, at + RARE.devmajor);
  }

  get devminor(): bigint {
    const at = this.#rareAt();
    return at < 0 ? 0n : bigIntAt(this.#parts.rare, at + RARE.devminor);
  }

  get xattrs(): readonly XattrRecord[] {
    if (this.#word(ROW.rare) === 0) return NO_XATTRS;
    const { xattrs, text } = this.#parts;
    const first = this.#rareWord(RARE.firstXattr);
    return Array.from({ length: this.#rareWord(RARE.xattrCount) }, (_, index) => {
      const at = (first + index) * XATTR.words;
      const start = xattrs[at + XATTR.start] ?? 0;
      const middle = start + (xattrs[at + XATTR.keyLength] ?? 0);
      return {
        key: text.subarray(start, middle),
        value: text.subarray(middle, middle + (xattrs[at + XATTR.valueLength] ?? 0)),
      };
    });
  }

  #word(field: number): number {
    return this.#parts.rows[this.#at + field] ?? 0;
  }

  /** Where the row's rare part stands; -1 when it has none. */
  #rareAt(): number {
    const number = this.#word(ROW.rare);
    return number === 0 ? -1 : (number - 1) * RARE.words;
  }

  #rareWord(field: number): number {
    const at = this.#rareAt();
    return at < 0 ? 0 : (this.#parts.rare[at + field] ?? 0);
  }

  /** The text whose length is in `field`: it stands behind those of the fields before it. */
  #text(field: number): Uint8Array {
    const { rows, text } = this.#parts;
    let start = rows[this.#at + ROW.text] ?? 0;
    for (let before: number = ROW.nameLength; before < field; before++) {
      start += rows[this.#at + before] ?? 0;
    }
    return text.subarray(start, start + (rows[this.#at + field] ?? 0));
  }
}

function locate(range: RowBytes, start: number, length: number): number {
  range.start = start;
  range.end = start + length;
  return range.end;
}

function bigIntAt(words: Uint32Array, at: number): bigint {
  const high = BigInt.asIntN(32, BigInt(words[at + 1] ?? 0));
  return (high << 32n) | BigInt(words[at] ?? 0);
}
