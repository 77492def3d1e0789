import type { Xattr } from "./attributes.ts";
import { badTable, type TableKind, type TableSection, wordsOf } from "./flat-table.ts";

/** Sections that a table with xattrs ends with. */
export const XATTR_SECTIONS = 3;

const SET_WORDS = 4;
const SET_FIRST = 0;
const SET_COUNT = 1;
const SET_LIST_START = 2;
const SET_LIST_END = 3;

const ITEM_WORDS = 4;
const ITEM_NAME_START = 0;
const ITEM_NAME_END = 1;
const ITEM_VALUE_START = 2;
const ITEM_VALUE_END = 3;

const EMPTY = new Uint8Array(0);
const ACL_PREFIX = "system.posix_acl_";

/** Collects sets of xattrs for the sections of a table. */
export class XattrTableWriter {
  readonly #sets: number[] = [];
  readonly #items: number[] = [];
  readonly #heap: string[] = [];
  #heapBytes = 0;
  readonly #known = new Map<readonly Xattr[], number>();

  /** The number of the set of these xattrs, from 1 on; 0 for none. */
  add(xattrs: readonly Xattr[]): number {
    if (xattrs.length === 0) return 0;
    const known = this.#known.get(xattrs);
    if (known !== undefined) return known;
    const first = this.#items.length / ITEM_WORDS;
    const listStart = this.#heapBytes;
    let valueStart = xattrs.reduce((sum, { name }) => sum + name.length + 1, listStart);
    const listEnd = valueStart;
    for (const { name, value } of xattrs) {
      const nameStart = this.#append(`${name}\0`);
      const valueEnd = valueStart + value.length;
      this.#items.push(nameStart, nameStart + name.length, valueStart, valueEnd);
      valueStart = valueEnd;
    }
    for (const { value } of xattrs) this.#append(Buffer.from(value).toString("latin1"));
    this.#sets.push(first, xattrs.length, listStart, listEnd);
    const set = this.#sets.length / SET_WORDS;
    this.#known.set(xattrs, set);
    return set;
  }

  sections(): readonly TableSection[] {
    return [
      Uint32Array.from(this.#sets),
      Uint32Array.from(this.#items),
      Buffer.from(this.#heap.join(""), "latin1"),
    ];
  }

  #append(text: string): number {
    const start = this.#heapBytes;
    this.#heap.push(text);
    this.#heapBytes += text.length;
    return start;
  }
}

/** Sets of xattrs in a table's last sections. Views that come back die with the table's bytes. */
export class XattrTable {
  readonly #sets: Uint32Array;
  readonly #items: Uint32Array;
  readonly #heap: Uint8Array;
  /** Whether some set has POSIX ACLs. */
  readonly hasAcls: boolean;

  /** @throws data-loss */
  constructor(kind: TableKind, sections: readonly Uint8Array[]) {
    this.#sets = wordsOf(kind, sections[0] ?? EMPTY, SET_WORDS);
    this.#items = wordsOf(kind, sections[1] ?? EMPTY, ITEM_WORDS);
    this.#heap = sections[2] ?? EMPTY;
    this.#check(kind);
    this.hasAcls = this.#hasNameFrom(Buffer.from(ACL_PREFIX));
  }

  /** Sets are numbered from 1 to this. */
  get setCount(): number {
    return this.#sets.length / SET_WORDS;
  }

  /** The value of an xattr; `undefined` when the set has none of the name. */
  find(set: number, name: Uint8Array): Uint8Array | undefined {
    if (set === 0) return undefined;
    const at = (set - 1) * SET_WORDS;
    const first = this.#sets[at + SET_FIRST] ?? 0;
    const end = first + (this.#sets[at + SET_COUNT] ?? 0);
    for (let item = first; item < end; item++) {
      if (!this.#hasName(item, name)) continue;
      return this.#heap.subarray(
        this.#items[item * ITEM_WORDS + ITEM_VALUE_START],
        this.#items[item * ITEM_WORDS + ITEM_VALUE_END],
      );
    }
    return undefined;
  }

  /** All names of the set, each ended by a NUL, as listxattr(2) gives them. */
  list(set: number): Uint8Array {
    if (set === 0) return EMPTY;
    const at = (set - 1) * SET_WORDS;
    return this.#heap.subarray(this.#sets[at + SET_LIST_START], this.#sets[at + SET_LIST_END]);
  }

  #hasName(item: number, name: Uint8Array): boolean {
    const start = this.#items[item * ITEM_WORDS + ITEM_NAME_START] ?? 0;
    const end = this.#items[item * ITEM_WORDS + ITEM_NAME_END] ?? 0;
    if (end - start !== name.length) return false;
    for (let i = 0; i < name.length; i++) {
      if (this.#heap[start + i] !== name[i]) return false;
    }
    return true;
  }

  #hasNameFrom(prefix: Uint8Array): boolean {
    for (let at = 0; at < this.#items.length; at += ITEM_WORDS) {
      const start = this.#items[at + ITEM_NAME_START] ?? 0;
      const name = this.#heap.subarray(start, this.#items[at + ITEM_NAME_END]);
      if (Buffer.from(name.subarray(0, prefix.length)).equals(prefix)) return true;
    }
    return false;
  }

  #check(kind: TableKind): void {
    const itemCount = this.#items.length / ITEM_WORDS;
    for (let at = 0; at < this.#sets.length; at += SET_WORDS) {
      const first = this.#sets[at + SET_FIRST] ?? 0;
      const count = this.#sets[at + SET_COUNT] ?? 0;
      if (first + count > itemCount) {
        throw badTable(kind, `xattrs ${first} to ${first + count}, want at most ${itemCount}`);
      }
      this.#checkRange(kind, this.#sets, at + SET_LIST_START);
    }
    for (let at = 0; at < this.#items.length; at += ITEM_WORDS) {
      this.#checkRange(kind, this.#items, at + ITEM_NAME_START);
      this.#checkRange(kind, this.#items, at + ITEM_VALUE_START);
    }
  }

  #checkRange(kind: TableKind, words: Uint32Array, at: number): void {
    const start = words[at] ?? 0;
    const end = words[at + 1] ?? 0;
    if (start > end || end > this.#heap.length) {
      throw badTable(
        kind,
        `xattr bytes ${start} to ${end}, want them in order and at most ${this.#heap.length}`,
      );
    }
  }
}
