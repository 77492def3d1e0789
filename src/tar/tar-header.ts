import { SociError } from "../errors.ts";
import {
  type Field,
  formatOf,
  GNU,
  isHeaderOnly,
  STAR,
  type TarFormat,
  USTAR,
  V7,
} from "./tar-block.ts";
import type { TarTime } from "./tar-entry.ts";
import { parseNumeric } from "./tar-number.ts";

/** One header block, before extensions are applied to it. */
export interface TarHeader {
  readonly format: TarFormat;
  typeflag: number;
  name: Uint8Array;
  linkname: Uint8Array;
  size: bigint;
  readonly mode: bigint;
  uid: bigint;
  gid: bigint;
  mtime: TarTime;
  uname: Uint8Array;
  gname: Uint8Array;
  readonly devmajor: bigint;
  readonly devminor: bigint;
}

/** No bytes. Shared: most headers have empty fields. */
export const EMPTY = new Uint8Array(0);

const SLASH = 0x2f;

/** Decodes the header block that stands at `offset` of the archive. @throws data-loss */
export function decodeTarHeader(block: Uint8Array, offset: number): TarHeader {
  const format = formatOf(block, offset);
  const number = (field: Field, label: string): bigint => numberAt(block, field, label, offset);
  const isV7 = format === "v7";
  const header: TarHeader = {
    format,
    typeflag: block[V7.typeflag.start] ?? 0,
    name: textAt(block, V7.name),
    linkname: textAt(block, V7.linkname),
    size: number(V7.size, "size"),
    mode: number(V7.mode, "mode"),
    uid: number(V7.uid, "uid"),
    gid: number(V7.gid, "gid"),
    mtime: { seconds: number(V7.mtime, "mtime"), nanoseconds: 0 },
    uname: isV7 ? EMPTY : textAt(block, USTAR.uname),
    gname: isV7 ? EMPTY : textAt(block, USTAR.gname),
    devmajor: isV7 ? 0n : number(USTAR.devmajor, "devmajor"),
    devminor: isV7 ? 0n : number(USTAR.devminor, "devminor"),
  };
  const prefix = prefixOf(block, format, number);
  if (prefix.length > 0) {
    header.name = joined(prefix, header.name);
  }
  return header;
}

function prefixOf(
  block: Uint8Array,
  format: TarFormat,
  number: (field: Field, label: string) => bigint,
): Uint8Array {
  switch (format) {
    case "v7":
      return EMPTY;
    case "ustar":
      return textAt(block, USTAR.prefix);
    case "star":
      number(STAR.atime, "atime");
      number(STAR.ctime, "ctime");
      return textAt(block, STAR.prefix);
    case "gnu":
      return gnuPrefix(block);
  }
}

/**
 * GNU headers have times where ustar has a prefix. Go before 1.8 wrote a prefix there all the same,
 * so times that are no numbers are taken as one, when it is ASCII.
 */
function gnuPrefix(block: Uint8Array): Uint8Array {
  const isTime = ({ start, end }: Field): boolean =>
    block[start] === 0 || parseNumeric(block, start, end) !== undefined;
  if (isTime(GNU.atime) && isTime(GNU.ctime)) {
    return EMPTY;
  }
  const prefix = textAt(block, USTAR.prefix);
  return prefix.every((byte) => byte < 0x80) ? prefix : EMPTY;
}

function numberAt(block: Uint8Array, field: Field, label: string, offset: number): bigint {
  const value = parseNumeric(block, field.start, field.end);
  if (value === undefined) {
    const found = JSON.stringify(latin1Of(block.subarray(field.start, field.end)));
    throw new SociError(
      "data-loss",
      `Cannot read tar header at byte ${offset}: ${label} is ${found}, want an octal or base-256 number`,
    );
  }
  return value;
}

/** A copy of the field up to its first NUL. */
function textAt(block: Uint8Array, { start, end }: Field): Uint8Array {
  if (block[start] === 0) {
    return EMPTY;
  }
  let last = start;
  while (last < end && block[last] !== 0) {
    last++;
  }
  return block.slice(start, last);
}

function joined(prefix: Uint8Array, name: Uint8Array): Uint8Array {
  const path = new Uint8Array(prefix.length + 1 + name.length);
  path.set(prefix);
  path[prefix.length] = SLASH;
  path.set(name, prefix.length + 1);
  return path;
}

/** Each byte as the character of its number: keys that sort as their bytes do, and text for messages. */
export function latin1Of(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at++) {
    text += String.fromCharCode(bytes[at] ?? 0);
  }
  return text;
}

/** Bytes of data after the header. @throws data-loss when negative */
export function bodyBytesOf(header: TarHeader, offset: number): bigint {
  if (isHeaderOnly(header.typeflag)) {
    return 0n;
  }
  if (header.size < 0n) {
    throw new SociError(
      "data-loss",
      `Cannot read tar header at byte ${offset}: size is ${header.size}, want 0 or more`,
    );
  }
  return header.size;
}

/** A size as a number. @throws data-loss from 2^53 on */
export function safeSize(size: bigint, offset: number): number {
  const value = Number(size);
  if (!Number.isSafeInteger(value)) {
    throw new SociError(
      "data-loss",
      `Cannot read tar header at byte ${offset}: size is ${size}, want less than 2^53`,
    );
  }
  return value;
}
