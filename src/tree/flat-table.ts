import { ByteCursor } from "../bytes/byte-cursor.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { SociError } from "../errors.ts";

export interface OpenTableOptions {
  /** These very bytes have been opened by this process before: nothing is checked again. Default false. */
  readonly isChecked?: boolean;
}

/** A kind of table file: eight characters at its start, and how errors name it. */
export interface TableKind {
  readonly magic: string;
  readonly what: string;
  readonly version: number;
}

/** Part of a table; typed arrays are written as the machine has them, which is little-endian. */
export type TableSection = Uint8Array | Uint32Array;

const ALIGNMENT = 8;
const FIXED_HEADER_BYTES = 32;
/** The CRC covers all that follows it, the rest of the header included. */
const CRC_END = 16;
const MAX_SECTIONS = 16;

/** Readers address sections by unsigned 32-bit offsets. */
const MAX_TABLE_BYTES = 2 ** 32 - 1;

/**
 * A table file: magic, version, CRC-32, size, the sections' lengths, then the sections, each at a
 * multiple of eight bytes so that typed arrays can lie over it. @throws data-loss for one of 4 GiB
 */
export function encodeTable(kind: TableKind, sections: readonly TableSection[]): Uint8Array {
  const bodyStart = FIXED_HEADER_BYTES + ALIGNMENT * sections.length;
  const size = sections.reduce((sum, { byteLength }) => sum + aligned(byteLength), bodyStart);
  if (size > MAX_TABLE_BYTES) {
    throw new SociError(
      "data-loss",
      `Cannot make ${kind.what}: it takes ${size} bytes, want at most ${MAX_TABLE_BYTES}`,
    );
  }
  const table = new Uint8Array(size);
  let at = bodyStart;
  for (const section of sections) {
    table.set(new Uint8Array(section.buffer, section.byteOffset, section.byteLength), at);
    at += aligned(section.byteLength);
  }
  const header = new ByteWriter(bodyStart);
  header.bytes(Buffer.from(kind.magic, "latin1"));
  header.u32le(kind.version);
  header.u32le(0);
  header.sizeLe(size);
  header.u32le(sections.length);
  header.u32le(0);
  for (const { byteLength } of sections) header.sizeLe(byteLength);
  table.set(header.view());
  new DataView(table.buffer).setUint32(CRC_END - 4, crcOf(table), true);
  return table;
}

/**
 * The sections of a table file, which must be whole and undamaged. They alias `bytes`, unless those do
 * not lie at a multiple of eight. @throws data-loss
 */
export function openTable(
  kind: TableKind,
  bytes: Uint8Array,
  sectionCount: number,
  { isChecked = false }: OpenTableOptions = {},
): readonly Uint8Array[] {
  const table = bytes.byteOffset % ALIGNMENT === 0 ? bytes : Uint8Array.from(bytes);
  const cursor = new ByteCursor(table, kind.what);
  const magic = Buffer.from(cursor.bytes(kind.magic.length, "magic")).toString("latin1");
  if (magic !== kind.magic) {
    throw badTable(kind, `it begins with ${JSON.stringify(magic)}, want "${kind.magic}"`);
  }
  const version = cursor.u32le("version");
  if (version !== kind.version) {
    throw badTable(kind, `its version is ${version}, want ${kind.version}`);
  }
  const crc = cursor.u32le("CRC");
  const size = cursor.sizeLe("size");
  if (size !== table.length) {
    throw badTable(kind, `it has ${table.length} bytes, want ${size}`);
  }
  if (!isChecked) {
    const actual = crcOf(table);
    if (actual !== crc) throw badTable(kind, `its CRC-32 is ${actual}, want ${crc}`);
  }
  const count = cursor.u32le("section count");
  if (count !== sectionCount || count > MAX_SECTIONS) {
    throw badTable(kind, `it has ${count} sections, want ${sectionCount}`);
  }
  cursor.u32le("reserved");
  const lengths = Array.from({ length: count }, () => cursor.sizeLe("section length"));
  const sections = lengths.map((length, index) => {
    const section = cursor.bytes(length, `section ${index}`);
    cursor.skip(aligned(length) - length, "padding");
    return section;
  });
  cursor.end();
  return sections;
}

/** A section as records of `recordWords` 32-bit words. @throws data-loss */
export function wordsOf(kind: TableKind, section: Uint8Array, recordWords: number): Uint32Array {
  if (section.length % (4 * recordWords) !== 0) {
    throw badTable(
      kind,
      `a section of ${section.length} bytes, want a multiple of ${4 * recordWords}`,
    );
  }
  return new Uint32Array(section.buffer, section.byteOffset, section.length / 4);
}

export function badTable(kind: TableKind, is: string): SociError {
  return new SociError("data-loss", `Cannot open ${kind.what}: ${is}`);
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

function crcOf(table: Uint8Array): number {
  return Bun.hash.crc32(table.subarray(CRC_END));
}
