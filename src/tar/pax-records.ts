import { SociError } from "../errors.ts";
import type { PaxRecord } from "./tar-entry.ts";
import { latin1Of, type TarHeader } from "./tar-header.ts";
import { parseDecimal, parsePaxTime } from "./tar-number.ts";

/** Records of one extended header by key (each byte a character), the last of equal keys. */
export type PaxRecords = ReadonlyMap<string, PaxRecord>;

const SPACE = 0x20;
const NEWLINE = 0x0a;
const EQUALS = 0x3d;
const COMMA = 0x2c;
const MIN_RECORD_BYTES = 5;

const SPARSE_OFFSET = "GNU.sparse.offset";
const SPARSE_NUMBYTES = "GNU.sparse.numbytes";
const SPARSE_MAP = "GNU.sparse.map";

const NO_LIST: readonly PaxRecord[] = [];
const TEXT_KEYS: ReadonlySet<string> = new Set(["path", "linkpath", "uname", "gname"]);

/**
 * Decodes the body of a pax header whose block stands at `offset`: records "<length> <key>=<value>\n".
 * The repeated offset and numbytes records of sparse format 0.0 become one map record, as in format 0.1.
 * @throws data-loss
 */
export function decodePaxRecords(body: Uint8Array, offset: number): PaxRecords {
  const records = new Map<string, PaxRecord>();
  const sparse: Uint8Array[] = [];
  let at = 0;
  while (at < body.length) {
    const end = recordEnd(body, at, offset);
    const start = body.indexOf(SPACE, at) + 1;
    const equals = body.indexOf(EQUALS, start);
    if (equals <= start || equals >= end) {
      throw malformed(offset, at, "has no key");
    }
    const key = body.slice(start, equals);
    const value = body.slice(equals + 1, end);
    const text = latin1Of(key);
    if ((TEXT_KEYS.has(text) ? value : key).includes(0)) {
      throw malformed(offset, at, "holds a NUL byte");
    }
    if (text === SPARSE_OFFSET || text === SPARSE_NUMBYTES) {
      const want = sparse.length % 2 === 0 ? SPARSE_OFFSET : SPARSE_NUMBYTES;
      if (text !== want || value.includes(COMMA)) {
        throw malformed(offset, at, `is ${text} out of order or with a comma, want ${want}`);
      }
      sparse.push(value);
    } else {
      records.set(text, { key, value });
    }
    at = end + 1;
  }
  if (sparse.length > 0) {
    const key = Uint8Array.from(SPARSE_MAP, (character) => character.charCodeAt(0));
    records.set(SPARSE_MAP, { key, value: joinedWithCommas(sparse) });
  }
  return records;
}

/** Records in the order of their keys' bytes. */
export function sortedRecords(records: PaxRecords): readonly PaxRecord[] {
  if (records.size === 0) {
    return NO_LIST;
  }
  const list = [...records];
  list.sort(([a], [b]) => (a < b ? -1 : 1));
  return list.map(([, record]) => record);
}

/**
 * Replaces what the header says by the records that speak of it; empty values say nothing.
 * @throws data-loss for a value that is no number or time; `offset` is the pax header's
 */
export function applyPaxRecords(header: TarHeader, records: PaxRecords, offset: number): void {
  for (const [key, { value }] of records) {
    if (value.length > 0) {
      applyRecord(header, key, value, offset);
    }
  }
}

function applyRecord(header: TarHeader, key: string, value: Uint8Array, offset: number): void {
  switch (key) {
    case "path":
      header.name = value;
      return;
    case "linkpath":
      header.linkname = value;
      return;
    case "uname":
      header.uname = value;
      return;
    case "gname":
      header.gname = value;
      return;
    case "uid":
      header.uid = valid(parseDecimal(value), key, value, offset);
      return;
    case "gid":
      header.gid = valid(parseDecimal(value), key, value, offset);
      return;
    case "size":
      header.size = valid(parseDecimal(value), key, value, offset);
      return;
    case "mtime":
      header.mtime = valid(parsePaxTime(value), key, value, offset);
      return;
    case "atime":
    case "ctime":
      valid(parsePaxTime(value), key, value, offset);
      return;
  }
}

function valid<T>(parsed: T | undefined, key: string, value: Uint8Array, offset: number): T {
  if (parsed === undefined) {
    const found = JSON.stringify(latin1Of(value.subarray(0, 100)));
    throw new SociError(
      "data-loss",
      `Cannot read pax header at byte ${offset}: ${key} is ${found}, want a decimal number`,
    );
  }
  return parsed;
}

/** Index of the newline that ends the record at `at`, after checks of its length field. */
function recordEnd(body: Uint8Array, at: number, offset: number): number {
  const space = body.indexOf(SPACE, at);
  const length = space < 0 ? undefined : parseDecimal(body.subarray(at, space));
  if (length === undefined || length < MIN_RECORD_BYTES || length > body.length - at) {
    throw malformed(offset, at, `has no valid length, want 5 to ${body.length - at}`);
  }
  const end = at + Number(length) - 1;
  if (end <= space || body[end] !== NEWLINE) {
    throw malformed(offset, at, "does not end in a newline");
  }
  return end;
}

function malformed(offset: number, at: number, is: string): SociError {
  return new SociError(
    "data-loss",
    `Cannot read pax header at byte ${offset}: record at its byte ${at} ${is}`,
  );
}

function joinedWithCommas(values: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(values.reduce((sum, value) => sum + value.length + 1, -1));
  let at = 0;
  for (const value of values) {
    joined.set(value, at);
    at += value.length + 1;
    if (at < joined.length) {
      joined[at - 1] = COMMA;
    }
  }
  return joined;
}
