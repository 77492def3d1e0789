import { SociError } from "../errors.ts";
import { MAX_FLATBUFFER_BYTES } from "./flatbuffer-writer.ts";

/** Position of a table in its buffer, checked to lie inside it. */
export type FlatTable = number;

/** A vector of offsets: `length` of them from `start` on. */
export interface FlatVector {
  readonly start: number;
  readonly length: number;
}

const UOFFSET_BYTES = 4;
const VOFFSET_BYTES = 2;
const VTABLE_HEAD_BYTES = 4;
/** Total of what may be read, in times of the buffer: plenty for shared strings, too little for bombs. */
const MAX_SHARING = 4;

const EMPTY = new Uint8Array(0);

/**
 * Reads tables, scalars, byte strings and vectors of a FlatBuffer, each with its bounds checked:
 * whatever the bytes, nothing outside the buffer is read and nothing is allocated but views.
 * Everything wrong is `data-loss`, named with its label. https://flatbuffers.dev/internals/
 */
export class FlatbufferReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #budget: number;

  /** `what` names the object in errors. */
  constructor(bytes: Uint8Array, what: string) {
    if (bytes.length > MAX_FLATBUFFER_BYTES) {
      throw new SociError(
        "data-loss",
        `Cannot decode ${what}: it has ${bytes.length} bytes, want at most ${MAX_FLATBUFFER_BYTES}`,
      );
    }
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    this.#budget = MAX_SHARING * bytes.length;
  }

  /** What is read. */
  get buffer(): Uint8Array {
    return this.#bytes;
  }

  root(): FlatTable {
    return this.#tableAt(0, "root");
  }

  /**
   * Counts `bytes` of content as seen. Objects of a hostile buffer may overlap, so that a small one
   * holds billions of rows: who walks a buffer counts what it walks. @throws data-loss
   */
  charge(bytes: number): void {
    this.#budget -= bytes;
    if (this.#budget < 0) {
      throw this.#invalid(`its objects overlap, want at most ${MAX_SHARING} times its size in all`);
    }
  }

  int8(table: FlatTable, slot: number, byDefault: number, label: string): number {
    const at = this.#field(table, slot, 1, label);
    return at === undefined ? byDefault : this.#view.getInt8(at);
  }

  int32(table: FlatTable, slot: number, label: string): number {
    const at = this.#field(table, slot, 4, label);
    return at === undefined ? 0 : this.#view.getInt32(at, true);
  }

  uint32(table: FlatTable, slot: number, label: string): number {
    const at = this.#field(table, slot, 4, label);
    return at === undefined ? 0 : this.#view.getUint32(at, true);
  }

  int64(table: FlatTable, slot: number, label: string): bigint {
    const at = this.#field(table, slot, 8, label);
    return at === undefined ? 0n : this.#view.getBigInt64(at, true);
  }

  /** A 64-bit number that a double holds exactly: below 2^53, may be negative. */
  safeInt(table: FlatTable, slot: number, label: string): number {
    const at = this.#field(table, slot, 8, label);
    if (at === undefined) {
      return 0;
    }
    const low = this.#view.getUint32(at, true);
    const value = this.#view.getInt32(at + 4, true) * 0x1_0000_0000 + low;
    if (!Number.isSafeInteger(value)) {
      throw this.#invalid(`${label} is about ${value}, want less than 2^53`);
    }
    return value;
  }

  /** A 64-bit size or offset: 0 to 2^53-1. */
  size(table: FlatTable, slot: number, label: string): number {
    const value = this.safeInt(table, slot, label);
    if (value < 0) {
      throw this.#invalid(`${label} is ${value}, want 0 or more`);
    }
    return value;
  }

  /** A string or vector of bytes; a view of the buffer, empty when the field is absent. */
  bytes(table: FlatTable, slot: number, label: string): Uint8Array {
    const vector = this.#vectorField(table, slot, 1, label);
    return vector === undefined || vector.length === 0
      ? EMPTY
      : this.#bytes.subarray(vector.start, vector.start + vector.length);
  }

  /** Length of a string or vector of bytes, which is checked to lie inside the buffer. */
  byteLength(table: FlatTable, slot: number, label: string): number {
    return this.#vectorField(table, slot, 1, label)?.length ?? 0;
  }

  table(table: FlatTable, slot: number, label: string): FlatTable | undefined {
    const at = this.#field(table, slot, UOFFSET_BYTES, label);
    return at === undefined ? undefined : this.#tableAt(at, label);
  }

  /** A vector of tables or strings; empty when the field is absent. */
  vector(table: FlatTable, slot: number, label: string): FlatVector {
    return this.#vectorField(table, slot, UOFFSET_BYTES, label) ?? { start: 0, length: 0 };
  }

  /** The table that element `index` of a vector points to. */
  tableOf(vector: FlatVector, index: number, label: string): FlatTable {
    return this.#tableAt(elementAt(vector, index), label);
  }

  /** The string that element `index` of a vector points to. */
  bytesOf(vector: FlatVector, index: number, label: string): Uint8Array {
    const { start, length } = this.#vectorAt(elementAt(vector, index), 1, label);
    return this.#bytes.subarray(start, start + length);
  }

  #tableAt(at: number, label: string): FlatTable {
    const table = this.#target(at, label);
    const vtable = this.#vtableOf(table, label);
    const vtableBytes = this.#view.getUint16(vtable, true);
    const tableBytes = this.#view.getUint16(vtable + VOFFSET_BYTES, true);
    if (
      vtableBytes < VTABLE_HEAD_BYTES ||
      vtable + vtableBytes > this.#bytes.length ||
      tableBytes < UOFFSET_BYTES ||
      table + tableBytes > this.#bytes.length
    ) {
      throw this.#invalid(
        `${label} at byte ${table} has ${tableBytes} bytes and a vtable at ${vtable} of ${vtableBytes}, want both inside the buffer`,
      );
    }
    return table;
  }

  #vtableOf(table: FlatTable, label: string): number {
    const vtable = table - this.#view.getInt32(table, true);
    if (vtable < 0 || vtable > this.#bytes.length - VTABLE_HEAD_BYTES) {
      throw this.#invalid(`${label} at byte ${table} has its vtable at ${vtable}, want it inside`);
    }
    return vtable;
  }

  /** Where the field lies, undefined when the table has none. */
  #field(table: FlatTable, slot: number, size: number, label: string): number | undefined {
    const vtable = this.#vtableOf(table, label);
    const entry = VTABLE_HEAD_BYTES + slot * VOFFSET_BYTES;
    if (entry + VOFFSET_BYTES > this.#view.getUint16(vtable, true)) {
      return undefined;
    }
    const offset = this.#view.getUint16(vtable + entry, true);
    if (offset === 0) {
      return undefined;
    }
    const tableBytes = this.#view.getUint16(vtable + VOFFSET_BYTES, true);
    if (offset < UOFFSET_BYTES || offset + size > tableBytes) {
      throw this.#invalid(
        `${label} lies at byte ${offset} of its table at ${table}, want 4 to ${tableBytes - size}`,
      );
    }
    return table + offset;
  }

  #vectorField(
    table: FlatTable,
    slot: number,
    size: number,
    label: string,
  ): FlatVector | undefined {
    const at = this.#field(table, slot, UOFFSET_BYTES, label);
    return at === undefined ? undefined : this.#vectorAt(at, size, label);
  }

  #vectorAt(at: number, size: number, label: string): FlatVector {
    const target = this.#target(at, label);
    const length = this.#view.getUint32(target, true);
    const start = target + UOFFSET_BYTES;
    if (length * size > this.#bytes.length - start) {
      throw this.#invalid(
        `${label} at byte ${target} has ${length} elements of ${size}, want them in ${this.#bytes.length - start} bytes`,
      );
    }
    return { start, length };
  }

  /** Follows the offset that stands at `at`. */
  #target(at: number, label: string): number {
    const last = this.#bytes.length - UOFFSET_BYTES;
    const target = at > last ? Number.NaN : at + this.#view.getUint32(at, true);
    if (!(target <= last)) {
      throw this.#invalid(`${label} at byte ${at} points to ${target}, want 0 to ${last}`);
    }
    return target;
  }

  #invalid(is: string): SociError {
    return new SociError("data-loss", `Cannot decode ${this.#what}: ${is}`);
  }
}

function elementAt({ start, length }: FlatVector, index: number): number {
  if (!(index >= 0 && index < length)) {
    throw new RangeError(`Cannot take element ${index} of a vector of ${length}`);
  }
  return start + index * UOFFSET_BYTES;
}
