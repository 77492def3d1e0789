import { SociError } from "../errors.ts";
import type { PaxRecords } from "./pax-records.ts";
import { BLOCK_BYTES, MAX_EXTENSION_BYTES } from "./tar-block.ts";
import type { SparseExtent } from "./tar-entry.ts";
import { latin1Of } from "./tar-header.ts";
import { parseDecimal, parseNumeric } from "./tar-number.ts";

/** A run of data as the archive spells it, not checked yet. */
interface RawExtent {
  readonly offset: bigint;
  readonly length: bigint;
}

const NEWLINE = 0x0a;
const COMMA = 0x2c;

const ELEMENT_BYTES = 24;
const NUMBER_BYTES = 12;
/** Layout of the map in the header block itself, and in a block of its own. */
const HEADER_MAP = { start: 386, elements: 4 } as const;
const BLOCK_MAP = { start: 0, elements: 21 } as const;

/** How a pax record set says that its file is sparse. https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html */
export type PaxSparseFormat = "0.x" | "1.0";

/** Undefined for a file that is not sparse, also for unknown versions, as Go has it. */
export function paxSparseFormatOf(records: PaxRecords): PaxSparseFormat | undefined {
  const major = textOf(records, "GNU.sparse.major");
  const minor = textOf(records, "GNU.sparse.minor");
  if (major === "" && minor === "") {
    return textOf(records, "GNU.sparse.map") === "" ? undefined : "0.x";
  }
  if (major === "0") {
    return minor === "0" || minor === "1" ? "0.x" : undefined;
  }
  return major === "1" && minor === "0" ? "1.0" : undefined;
}

/** The whole file's size, where the records give it. @throws data-loss */
export function paxSparseSizeOf(records: PaxRecords, offset: number): bigint | undefined {
  const size = nonEmpty(records, "GNU.sparse.size") ?? nonEmpty(records, "GNU.sparse.realsize");
  return size === undefined ? undefined : decimal(size, "size", offset);
}

/** The file's true name, where the records give it. */
export function paxSparseNameOf(records: PaxRecords): Uint8Array | undefined {
  return nonEmpty(records, "GNU.sparse.name");
}

/**
 * Collects one sparse map, in any of its three forms, and checks it at the end. `offset` is that of
 * the entry's header, for errors. Memory is bounded by MAX_EXTENSION_BYTES of map.
 */
export class SparseMap {
  readonly #offset: number;
  readonly #raw: RawExtent[] = [];
  #mapBytes = 0;

  constructor(offset: number) {
    this.#offset = offset;
  }

  /** Old GNU: the part of the map in the header block. Returns whether a block of map follows. */
  addHeader(block: Uint8Array): boolean {
    return this.#addElements(block, HEADER_MAP.start, HEADER_MAP.elements);
  }

  /** Old GNU: a block of map. Returns whether one more follows. @throws data-loss */
  addBlock(block: Uint8Array): boolean {
    this.#mapBytes += BLOCK_BYTES;
    if (this.#mapBytes >= MAX_EXTENSION_BYTES) {
      throw this.#invalid(`is longer than ${MAX_EXTENSION_BYTES} bytes`);
    }
    return this.#addElements(block, BLOCK_MAP.start, BLOCK_MAP.elements);
  }

  /** Pax 0.0 and 0.1: the map is in the records. @throws data-loss */
  addRecords(records: PaxRecords): void {
    const blocks = nonEmpty(records, "GNU.sparse.numblocks");
    const count = decimal(blocks ?? new Uint8Array(0), "number of blocks", this.#offset);
    const map = nonEmpty(records, "GNU.sparse.map") ?? new Uint8Array(0);
    const numbers = map.length === 0 ? 0 : map.reduce((n, byte) => n + +(byte === COMMA), 1);
    if (count < 0n || BigInt(numbers) !== 2n * count) {
      throw this.#invalid(`has ${numbers} numbers, want ${2n * count}`);
    }
    this.#addDecimals(map, COMMA, 0, numbers);
  }

  /** Pax 1.0: `map` are whole blocks: decimal lines, the count first. @throws data-loss */
  addLines(map: Uint8Array): void {
    const count = lineCountOf(map, this.#offset);
    this.#addDecimals(map, NEWLINE, map.indexOf(NEWLINE) + 1, Number(2n * count));
  }

  /** The map, when it describes a file of `size` bytes: in order, apart, inside the file. @throws data-loss */
  extents(size: bigint): readonly SparseExtent[] {
    if (size < 0n) {
      throw this.#invalid(`is of a file of ${size} bytes`);
    }
    const extents: SparseExtent[] = [];
    let end = 0n;
    for (const { offset, length } of this.#raw) {
      if (offset < end || length < 0n || offset + length > size) {
        throw this.#invalid(
          `has data at ${offset} of ${length} bytes, want it from ${end} to ${size}`,
        );
      }
      end = offset + length;
      if (length > 0n) {
        extents.push({ offset: Number(offset), length: Number(length) });
      }
    }
    return extents;
  }

  #addElements(block: Uint8Array, start: number, elements: number): boolean {
    const end = start + elements * ELEMENT_BYTES;
    // An offset that starts with NUL ends the list, as in GNU tar and libarchive.
    for (let at = start; at < end && block[at] !== 0; at += ELEMENT_BYTES) {
      const middle = at + NUMBER_BYTES;
      const offset = parseNumeric(block, at, middle);
      const length = parseNumeric(block, middle, middle + NUMBER_BYTES);
      if (offset === undefined || length === undefined) {
        throw this.#invalid("has a field that is no octal or base-256 number");
      }
      this.#raw.push({ offset, length });
    }
    return block[end] !== 0;
  }

  #addDecimals(map: Uint8Array, separator: number, start: number, numbers: number): void {
    let at = start;
    const next = (): bigint => {
      const found = map.indexOf(separator, at);
      const end = found < 0 ? map.length : found;
      const value = decimal(map.subarray(at, end), "number", this.#offset);
      at = end + 1;
      return value;
    };
    for (let done = 0; done < numbers; done += 2) {
      const offset = next();
      this.#raw.push({ offset, length: next() });
    }
  }

  #invalid(is: string): SociError {
    return invalidMap(this.#offset, is);
  }
}

/** Lines that a pax 1.0 map has, the count itself included, by its first line. @throws data-loss */
export function linesWanted(map: Uint8Array, offset: number): number {
  return 1 + Number(2n * lineCountOf(map, offset));
}

/** The error for a map that is not what it should be. */
export function invalidMap(offset: number, is: string): SociError {
  return new SociError(
    "data-loss",
    `Cannot read tar entry at byte ${offset}: its sparse map ${is}`,
  );
}

function lineCountOf(map: Uint8Array, offset: number): bigint {
  const count = decimal(map.subarray(0, map.indexOf(NEWLINE)), "number of blocks", offset);
  if (count < 0n) {
    throw invalidMap(offset, `has ${count} blocks, want 0 or more`);
  }
  return count;
}

function decimal(text: Uint8Array, label: string, offset: number): bigint {
  const value = parseDecimal(text);
  if (value === undefined) {
    const found = JSON.stringify(latin1Of(text.subarray(0, 100)));
    throw invalidMap(offset, `has the ${label} ${found}, want a decimal number`);
  }
  return value;
}

function nonEmpty(records: PaxRecords, key: string): Uint8Array | undefined {
  const value = records.get(key)?.value;
  return value === undefined || value.length === 0 ? undefined : value;
}

function textOf(records: PaxRecords, key: string): string {
  const value = nonEmpty(records, key);
  return value === undefined ? "" : latin1Of(value.subarray(0, 2));
}
