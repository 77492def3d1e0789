import { SociError } from "../errors.ts";

/**
 * Reads little-endian values from a byte array, front to back. Every read is bounds-checked and
 * labelled; one past the end throws `data-loss` that names what was being decoded, the label and
 * the offset. Returned views alias the input: copy to keep.
 */
export class ByteCursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #offset: number;

  /** `what` names the object in errors, as in "zinfo" or "zTOC". */
  constructor(bytes: Uint8Array, what: string, start = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    this.#offset = start;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  seek(offset: number, label: string): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > this.#bytes.length) {
      throw this.#outOfBounds(label, offset, 0);
    }
    this.#offset = offset;
  }

  u8(label: string): number {
    return this.#view.getUint8(this.#take(1, label));
  }

  i8(label: string): number {
    return this.#view.getInt8(this.#take(1, label));
  }

  u16le(label: string): number {
    return this.#view.getUint16(this.#take(2, label), true);
  }

  u32le(label: string): number {
    return this.#view.getUint32(this.#take(4, label), true);
  }

  i32le(label: string): number {
    return this.#view.getInt32(this.#take(4, label), true);
  }

  i64le(label: string): bigint {
    return this.#view.getBigInt64(this.#take(8, label), true);
  }

  /** A 64-bit size or offset: 0 to 2^53-1, else `data-loss`. */
  sizeLe(label: string): number {
    const at = this.#offset;
    const value = this.i64le(label);
    if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new SociError(
        "data-loss",
        `Cannot decode ${this.#what}: ${label} at byte ${at} is ${value}, want 0 to 2^53-1`,
      );
    }
    return Number(value);
  }

  /** LEB128 as ByteWriter.varint() writes it: 0 to 2^53-1. */
  varint(label: string): number {
    const at = this.#offset;
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8(label);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        break;
      }
      scale *= 0x80;
      if (scale > Number.MAX_SAFE_INTEGER) {
        value = Number.POSITIVE_INFINITY;
        break;
      }
    }
    if (value > Number.MAX_SAFE_INTEGER) {
      throw new SociError(
        "data-loss",
        `Cannot decode ${this.#what}: ${label} at byte ${at} is too big, want 0 to 2^53-1`,
      );
    }
    return value;
  }

  bytes(length: number, label: string): Uint8Array {
    const start = this.#take(length, label);
    return this.#bytes.subarray(start, start + length);
  }

  skip(length: number, label: string): void {
    this.#take(length, label);
  }

  /** Refuses trailing bytes. */
  end(): void {
    if (this.remaining > 0) {
      throw new SociError(
        "data-loss",
        `Cannot decode ${this.#what}: ${this.remaining} bytes after the end at byte ${this.#offset}, want none`,
      );
    }
  }

  #take(length: number, label: string): number {
    const start = this.#offset;
    if (!Number.isSafeInteger(length) || length < 0 || length > this.#bytes.length - start) {
      throw this.#outOfBounds(label, start, length);
    }
    this.#offset = start + length;
    return start;
  }

  #outOfBounds(label: string, offset: number, length: number): SociError {
    return new SociError(
      "data-loss",
      `Cannot decode ${this.#what}: ${label} wants ${length} bytes at byte ${offset} of ${this.#bytes.length}`,
    );
  }
}
