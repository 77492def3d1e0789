import { crc32 } from "node:zlib";
import { SociError } from "../errors.ts";

// RFC 1952, 2.3.1
const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;
const RESERVED = 0xe0;
const DEFLATED = 8;
/** Go's compress/gzip takes a name or comment of at most this many bytes, its NUL included. */
const GO_TEXT_BYTES = 512;

/** How a member is wrapped: what zlib takes with windowBits 47. */
export type MemberFormat = "gzip" | "zlib";

type Field = "magic" | "fixed" | "extra-length" | "extra" | "name" | "comment" | "crc" | "done";

/**
 * Reads one member's header byte by byte, in constant memory however long it is.
 * gzip (RFC 1952) or zlib (RFC 1950); what zlib refuses throws `data-loss`.
 */
export class GzipHeader {
  #field: Field = "magic";
  #magic = 0;
  #flags = 0;
  #at = 0;
  #left = 0;
  #crc = 0;
  #storedCrc = 0;
  #format: MemberFormat = "gzip";
  #goFault: string | undefined;

  get done(): boolean {
    return this.#field === "done";
  }

  get format(): MemberFormat {
    return this.#format;
  }

  /** Why Go's compress/gzip refuses this header although zlib takes it, or undefined. */
  get goFault(): string | undefined {
    return this.#goFault;
  }

  /** Takes header bytes from the front of `bytes` and returns how many. @throws data-loss */
  push(bytes: Uint8Array): number {
    let used = 0;
    while (used < bytes.length && this.#field !== "done") {
      const start = used;
      const field = this.#field;
      used += this.#take(bytes, used);
      if (field !== "crc") this.#crc = crc32(bytes.subarray(start, used), this.#crc);
      if (this.#field !== field) this.#skipAbsent();
    }
    return used;
  }

  #take(bytes: Uint8Array, from: number): number {
    const byte = bytes[from] ?? 0;
    switch (this.#field) {
      case "magic":
        return this.#magicByte(byte);
      case "fixed":
        return this.#fixedByte(byte);
      case "extra-length":
        this.#left |= byte << (8 * this.#at);
        if (++this.#at === 2) this.#next("extra");
        return 1;
      case "extra": {
        const count = Math.min(this.#left, bytes.length - from);
        this.#left -= count;
        if (this.#left === 0) this.#next("name");
        return count;
      }
      case "name":
        return this.#text(bytes, from, "comment");
      case "comment":
        return this.#text(bytes, from, "crc");
      case "crc":
        this.#storedCrc |= byte << (8 * this.#at);
        if (++this.#at === 2) this.#checkCrc();
        return 1;
      case "done":
        return 0;
    }
  }

  #magicByte(byte: number): number {
    this.#magic = (this.#magic << 8) | byte;
    if (++this.#at < 2) return 1;
    if (this.#magic === 0x1f8b) {
      this.#next("fixed");
    } else if (isZlibHeader(this.#magic)) {
      this.#format = "zlib";
      this.#goFault = "it is a zlib stream";
      this.#next("done");
    } else {
      throw headerError(`magic is ${hex(this.#magic)}, want 1f8b`);
    }
    return 1;
  }

  /** Method, flags, time, extra flags, operating system. */
  #fixedByte(byte: number): number {
    if (this.#at === 0 && byte !== DEFLATED)
      throw headerError(`method is ${byte}, want 8 (deflate)`);
    if (this.#at === 1) {
      this.#flags = byte;
      if ((byte & RESERVED) !== 0)
        throw headerError(`reserved flags ${hex(byte & RESERVED)} are set`);
    }
    if (++this.#at === 8) this.#next("extra-length");
    return 1;
  }

  #text(bytes: Uint8Array, from: number, next: Field): number {
    const end = bytes.indexOf(0, from);
    const count = (end < 0 ? bytes.length : end + 1) - from;
    this.#at += count;
    if (this.#at > GO_TEXT_BYTES)
      this.#goFault = `its ${this.#field} is longer than ${GO_TEXT_BYTES - 1} bytes`;
    if (end >= 0) this.#next(next);
    return count;
  }

  #checkCrc(): void {
    const want = this.#crc & 0xffff;
    if (this.#storedCrc !== want) {
      throw headerError(`header checksum is ${hex(this.#storedCrc)}, want ${hex(want)}`);
    }
    this.#next("done");
  }

  #next(field: Field): void {
    this.#field = field;
    this.#at = 0;
  }

  /** Passes over the fields that the flags say are not there. */
  #skipAbsent(): void {
    if (this.#field === "extra-length" && (this.#flags & FEXTRA) === 0) this.#next("name");
    if (this.#field === "extra" && this.#left === 0) this.#next("name");
    if (this.#field === "name" && (this.#flags & FNAME) === 0) this.#next("comment");
    if (this.#field === "comment" && (this.#flags & FCOMMENT) === 0) this.#next("crc");
    if (this.#field === "crc" && (this.#flags & FHCRC) === 0) this.#next("done");
  }
}

/** RFC 1950, 2.2: method 8, window of at most 32 KiB, check bits, no preset dictionary. */
function isZlibHeader(magic: number): boolean {
  const method = (magic >> 8) & 15;
  const windowBits = ((magic >> 12) & 15) + 8;
  return method === DEFLATED && windowBits <= 15 && magic % 31 === 0 && (magic & 0x20) === 0;
}

function headerError(problem: string): SociError {
  return new SociError("data-loss", `Cannot read gzip header: ${problem}`);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
