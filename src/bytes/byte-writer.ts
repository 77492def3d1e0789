/**
 * Writes little-endian values front to back into a buffer that grows by itself. A value that does
 * not fit its field is a bug of the caller: RangeError. A writer can be used again after reset().
 */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #offset = 0;

  constructor(initialBytes = 256) {
    this.#bytes = new Uint8Array(initialBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written since the start or the last reset(). */
  get offset(): number {
    return this.#offset;
  }

  /** What has been written; a view that dies with the next write or reset(). */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#offset);
  }

  /** A copy of what has been written. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#offset);
  }

  reset(): void {
    this.#offset = 0;
  }

  u8(value: number): void {
    check(value, 0, 0xff);
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
  }

  u16le(value: number): void {
    check(value, 0, 0xffff);
    const at = this.#grow(2);
    this.#view.setUint16(at, value, true);
  }

  u32le(value: number): void {
    check(value, 0, 0xffff_ffff);
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  i32le(value: number): void {
    check(value, -0x8000_0000, 0x7fff_ffff);
    const at = this.#grow(4);
    this.#view.setInt32(at, value, true);
  }

  i64le(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value) {
      throw new RangeError(`Cannot write ${value}: want a signed 64-bit integer`);
    }
    const at = this.#grow(8);
    this.#view.setBigInt64(at, value, true);
  }

  /** A 64-bit size or offset: 0 to 2^53-1. */
  sizeLe(value: number): void {
    check(value, 0, Number.MAX_SAFE_INTEGER);
    const at = this.#grow(8);
    this.#view.setUint32(at, value % 0x1_0000_0000, true);
    this.#view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  }

  /** LEB128: seven bits a byte, low bits first. 0 to 2^53-1. */
  varint(value: number): void {
    check(value, 0, Number.MAX_SAFE_INTEGER);
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.u8(rest);
  }

  bytes(value: Uint8Array): void {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
  }

  #grow(length: number): number {
    const start = this.#offset;
    const end = start + length;
    if (end > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      bytes.set(this.#bytes.subarray(0, start));
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    this.#offset = end;
    return start;
  }
}

function check(value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot write ${value}: want an integer from ${min} to ${max}`);
  }
}
