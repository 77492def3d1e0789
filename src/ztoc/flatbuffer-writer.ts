import { SociError } from "../errors.ts";

/** Bytes that are read front to back, once or more, and need not be in memory as a whole. */
export interface ByteSource {
  readonly size: number;
  chunks(): Iterable<Uint8Array>;
}

/** Place of a finished object, counted from the end of the buffer. */
export type FlatOffset = number;

interface Vtable {
  readonly offset: FlatOffset;
  /** Distance of each field from the table's start, 0 for absent ones. */
  readonly fields: Uint16Array;
}

/** Offsets are signed in places: no FlatBuffer is longer. https://flatbuffers.dev/internals/ */
export const MAX_FLATBUFFER_BYTES = 0x7fff_ffff;

const CHUNK_BYTES = 256 * 1024;
const SHORT_BYTES = 64;
const MAX_SLOTS = 32;
const UOFFSET_BYTES = 4;
const VOFFSET_BYTES = 2;

/**
 * Writes a FlatBuffer from its end to its front, with the same bytes as Google's builders for the
 * same calls. Memory grows by chunks that are never copied, and byte vectors may be adopted without
 * reading them. https://flatbuffers.dev/internals/
 */
export class FlatbufferWriter {
  /** Finished parts, from the end of the buffer to its front. */
  readonly #parts: (Uint8Array | ByteSource)[] = [];
  #chunk = new Uint8Array(CHUNK_BYTES);
  #view = new DataView(this.#chunk.buffer);
  /** Where the used part of the chunk starts. */
  #head = CHUNK_BYTES;
  #size = 0;
  #maxAlign = 1;
  readonly #vtables: Vtable[] = [];
  readonly #fields = new Float64Array(MAX_SLOTS);
  #slots = 0;
  #tableEnd = 0;

  /** A string of bytes [start, end): length, bytes, NUL. Equal strings are not shared. */
  string(bytes: Uint8Array, start = 0, end = bytes.length): FlatOffset {
    const length = end - start;
    this.#align(UOFFSET_BYTES, length + 1);
    const at = this.#take(UOFFSET_BYTES + length + 1);
    this.#view.setUint32(at, length, true);
    const chunk = this.#chunk;
    const target = at + UOFFSET_BYTES;
    // A view costs more than copying the few bytes that most strings have.
    if (length <= SHORT_BYTES) {
      for (let i = 0; i < length; i++) chunk[target + i] = bytes[start + i] ?? 0;
    } else {
      chunk.set(bytes.subarray(start, end), target);
    }
    chunk[target + length] = 0;
    return this.#size;
  }

  /** A vector of bytes, which are taken from the source only when the buffer is read. */
  byteVector(source: ByteSource): FlatOffset {
    this.#align(UOFFSET_BYTES, source.size);
    this.#closeChunk();
    this.#grow(source.size);
    this.#parts.push(source);
    const at = this.#take(UOFFSET_BYTES);
    this.#view.setUint32(at, source.size, true);
    return this.#size;
  }

  /** A vector of objects. */
  vector(offsets: ArrayLike<FlatOffset>): FlatOffset {
    this.#align(UOFFSET_BYTES, offsets.length * UOFFSET_BYTES);
    for (let index = offsets.length - 1; index >= 0; index--) {
      this.#putOffset(offsets[index] ?? 0);
    }
    const at = this.#take(UOFFSET_BYTES);
    this.#view.setUint32(at, offsets.length, true);
    return this.#size;
  }

  /** Starts a table of so many slots; fields are laid out in the order they are added. */
  startTable(slots: number): void {
    this.#fields.fill(0, 0, slots);
    this.#slots = slots;
    this.#tableEnd = this.#size;
  }

  addInt8(slot: number, value: number, byDefault: number): void {
    if (value !== byDefault) {
      this.#align(1, 0);
      const at = this.#take(1);
      this.#view.setInt8(at, value);
      this.#fields[slot] = this.#size;
    }
  }

  addInt32(slot: number, value: number): void {
    if (value !== 0) {
      this.#align(4, 0);
      const at = this.#take(4);
      this.#view.setInt32(at, value, true);
      this.#fields[slot] = this.#size;
    }
  }

  addUint32(slot: number, value: number): void {
    if (value !== 0) {
      this.#align(4, 0);
      const at = this.#take(4);
      this.#view.setUint32(at, value, true);
      this.#fields[slot] = this.#size;
    }
  }

  addInt64(slot: number, value: bigint | number): void {
    if (value !== 0n && value !== 0) {
      this.#align(8, 0);
      const at = this.#take(8);
      if (typeof value === "bigint") {
        this.#view.setBigInt64(at, value, true);
      } else {
        this.#view.setUint32(at, value % 2 ** 32, true);
        this.#view.setInt32(at + 4, Math.floor(value / 2 ** 32), true);
      }
      this.#fields[slot] = this.#size;
    }
  }

  addOffset(slot: number, offset: FlatOffset): void {
    this.#align(UOFFSET_BYTES, 0);
    this.#putOffset(offset);
    this.#fields[slot] = this.#size;
  }

  /** Ends the table; an equal vtable is used again. */
  endTable(): FlatOffset {
    this.#align(UOFFSET_BYTES, 0);
    const table = this.#size + UOFFSET_BYTES;
    let length = this.#slots;
    while (length > 0 && this.#fields[length - 1] === 0) {
      length--;
    }
    const known = this.#findVtable(table, length);
    if (known !== undefined) {
      const at = this.#take(UOFFSET_BYTES);
      this.#view.setInt32(at, known.offset - table, true);
      return table;
    }
    const vtableBytes = (length + 2) * VOFFSET_BYTES;
    const start = this.#take(UOFFSET_BYTES);
    this.#view.setInt32(start, vtableBytes, true);
    const fields = new Uint16Array(length);
    const at = this.#take(vtableBytes);
    this.#view.setUint16(at, vtableBytes, true);
    this.#view.setUint16(at + VOFFSET_BYTES, table - this.#tableEnd, true);
    for (let slot = 0; slot < length; slot++) {
      const field = this.#fieldAt(table, slot);
      fields[slot] = field;
      this.#view.setUint16(at + (slot + 2) * VOFFSET_BYTES, field, true);
    }
    this.#vtables.push({ offset: this.#size, fields });
    return table;
  }

  /** Ends the buffer with its root table. The writer must not be used any more. */
  finish(root: FlatOffset): ByteSource {
    this.#align(this.#maxAlign, UOFFSET_BYTES);
    this.#align(UOFFSET_BYTES, 0);
    this.#putOffset(root);
    this.#closeChunk();
    const parts = this.#parts.toReversed();
    return {
      size: this.#size,
      *chunks() {
        for (const part of parts) {
          if (part instanceof Uint8Array) {
            yield part;
          } else {
            yield* exactChunks(part);
          }
        }
      },
    };
  }

  #fieldAt(table: number, slot: number): number {
    const offset = this.#fields[slot] ?? 0;
    return offset === 0 ? 0 : table - offset;
  }

  /** Newest first, as Go's builder looks: neighbours are alike. */
  #findVtable(table: number, length: number): Vtable | undefined {
    for (let index = this.#vtables.length - 1; index >= 0; index--) {
      const vtable = this.#vtables[index];
      if (vtable !== undefined && this.#fits(vtable.fields, table, length)) {
        return vtable;
      }
    }
    return undefined;
  }

  #fits(fields: Uint16Array, table: number, length: number): boolean {
    if (fields.length !== length) {
      return false;
    }
    for (let slot = 0; slot < length; slot++) {
      if (fields[slot] !== this.#fieldAt(table, slot)) {
        return false;
      }
    }
    return true;
  }

  /** An offset points from itself to its object. */
  #putOffset(offset: FlatOffset): void {
    const at = this.#take(UOFFSET_BYTES);
    this.#view.setUint32(at, this.#size - offset, true);
  }

  /** Pads so that something aligned to `alignment` can be written before `after` more bytes. */
  #align(alignment: number, after: number): void {
    this.#maxAlign = Math.max(this.#maxAlign, alignment);
    const over = (this.#size + after) % alignment;
    if (over !== 0) {
      const padding = alignment - over;
      const at = this.#take(padding);
      this.#chunk.fill(0, at, at + padding);
    }
  }

  /** Makes room for `length` bytes in front; returns where they start in the chunk. */
  #take(length: number): number {
    this.#grow(length);
    if (length > this.#head) {
      this.#closeChunk();
      this.#chunk = new Uint8Array(Math.max(CHUNK_BYTES, length));
      this.#view = new DataView(this.#chunk.buffer);
      this.#head = this.#chunk.length;
    }
    this.#head -= length;
    return this.#head;
  }

  #grow(length: number): void {
    if (this.#size + length > MAX_FLATBUFFER_BYTES) {
      throw new SociError(
        "unsupported",
        `Cannot write a FlatBuffer of more than ${this.#size + length} bytes: want at most ${MAX_FLATBUFFER_BYTES}`,
        { hint: "Use a larger span size: each span takes 32 KiB" },
      );
    }
    this.#size += length;
  }

  /** Puts the used part of the chunk aside; what is left of it stays in use. */
  #closeChunk(): void {
    if (this.#head < this.#chunk.length) {
      this.#parts.push(this.#chunk.subarray(this.#head));
      this.#chunk = this.#chunk.subarray(0, this.#head);
      this.#view = new DataView(this.#chunk.buffer, this.#chunk.byteOffset, this.#head);
    }
  }
}

/** The source's chunks; a source that does not hold what its size says would shift all offsets. */
function* exactChunks(source: ByteSource): Iterable<Uint8Array> {
  let size = 0;
  for (const chunk of source.chunks()) {
    size += chunk.length;
    if (size <= source.size) {
      yield chunk;
    }
  }
  if (size !== source.size) {
    throw new SociError(
      "data-loss",
      `Cannot read a byte vector: its source has ${size} bytes, want ${source.size}`,
    );
  }
}
