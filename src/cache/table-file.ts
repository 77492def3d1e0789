import { closeSync, fstatSync, futimesSync, openSync, readSync } from "node:fs";
import { ByteCursor } from "../bytes/byte-cursor.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { SociError } from "../errors.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { type RecordRange, tryRecordLock } from "../sys/record-lock.ts";
import { closing } from "./cache-locks.ts";
import { isSameFile } from "./is-same-file.ts";
import { crc32 } from "./crc32.ts";

const MAGIC = 0x4c42_5453;
/** Magic, CRC of the content, size of the content; behind it, so that the content starts a page. */
const TABLE_TRAILER_BYTES = 16;

export interface MapTableOptions {
  /** Whether the content's CRC is checked: for content that has none of its own, and before it is believed. Default true. */
  readonly verify?: boolean;
}

/** What writeTable() puts behind a table's content. */
export function tableTrailer(content: Uint8Array): Uint8Array {
  const writer = new ByteWriter(TABLE_TRAILER_BYTES);
  writer.u32le(MAGIC);
  writer.u32le(crc32(content));
  writer.sizeLe(content.length);
  return writer.take();
}

/**
 * Maps a table file; the memory is shared with whoever else maps it and must not be written. It goes
 * when nobody refers to it any more. @throws not-found, data-loss (not whole, or damaged)
 */
export function mapTable(path: string, { verify = true }: MapTableOptions = {}): Uint8Array {
  const { size, crc } = readTrailer(path);
  const memory = Bun.mmap(path);
  const content = memory.subarray(0, size);
  if (memory.length !== size + TABLE_TRAILER_BYTES) {
    throw damaged(path, `it has ${memory.length} bytes, want ${size + TABLE_TRAILER_BYTES}`);
  }
  const got = verify ? crc32(content) : crc;
  if (got !== crc) throw damaged(path, `its CRC is ${got}, want ${crc}`);
  return content;
}

/** Two processes may make the same table: how often one may be put in the place of the other meanwhile. */
const MAX_REPLACED = 16;

/**
 * Keeps a table file from being removed to make room, until it is disposed of or the process ends; and
 * notes that it was used. @throws not-found
 */
export function leaseTable(path: string): Disposable {
  for (let replaced = 0; replaced < MAX_REPLACED; replaced++) {
    const held = tryLease(path);
    if (held !== undefined) return held;
  }
  throw new SociError("not-found", `Cannot keep table "${path}": it has just been removed`);
}

/** Undefined: it is being removed, or another file has just come in its place. */
function tryLease(path: string): Disposable | undefined {
  const fd = openTable(path);
  using opened = new DisposableStack();
  const held = opened.use(closing(fd));
  if (!tryRecordLock(fd, TABLE_LOCK, "shared") || !isSameFile(fd, path)) return undefined;
  const now = Date.now() / 1000;
  futimesSync(fd, now, now);
  opened.move();
  return held;
}

/** On a table file itself: shared by whoever must not lose it. */
export const TABLE_LOCK: RecordRange = { start: 0, end: 1 };

/** Looks whether a table file is whole, by its size and the end of it. @throws not-found, data-loss */
export function checkTableSize(path: string): void {
  readTrailer(path);
}

function readTrailer(path: string): { readonly size: number; readonly crc: number } {
  const fd = openTable(path);
  try {
    const fileSize = fstatSync(fd).size;
    const trailer = new Uint8Array(TABLE_TRAILER_BYTES);
    const at = fileSize - trailer.length;
    if (at < 0 || readSync(fd, trailer, 0, trailer.length, at) !== trailer.length) {
      throw damaged(path, `it has ${fileSize} bytes, want ${TABLE_TRAILER_BYTES} or more`);
    }
    const cursor = new ByteCursor(trailer, `table "${path}"`);
    const magic = cursor.u32le("magic");
    const crc = cursor.u32le("CRC");
    const size = cursor.sizeLe("size");
    if (magic !== MAGIC || size !== at) {
      throw damaged(path, `its last bytes speak of ${size} bytes, want ${at}`);
    }
    return { size, crc };
  } finally {
    closeSync(fd);
  }
}

function openTable(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) {
      throw new SociError("not-found", `Cannot open table "${path}": there is none`, { cause });
    }
    throw new SociError("failed-precondition", `Cannot open table "${path}"`, { cause });
  }
}

function damaged(path: string, fault: string): SociError {
  return new SociError("data-loss", `Cannot use table "${path}": ${fault}`);
}
