import { SociError } from "../errors.ts";
import {
  TYPE_BLOCK,
  TYPE_CHAR,
  TYPE_DIR,
  TYPE_FIFO,
  TYPE_HARDLINK,
  TYPE_REG,
  TYPE_SYMLINK,
} from "../tar/tar-block.ts";
import type { TarEntry, TarTime } from "../tar/tar-entry.ts";
import type { FileMetadata, FileType } from "./file-metadata.ts";

const TYPE_NAMES: ReadonlyMap<number, FileType> = new Map([
  [TYPE_REG, "reg"],
  [TYPE_DIR, "dir"],
  [TYPE_SYMLINK, "symlink"],
  [TYPE_HARDLINK, "hardlink"],
  [TYPE_CHAR, "char"],
  [TYPE_BLOCK, "block"],
  [TYPE_FIFO, "fifo"],
]);

/** First second of year 0, and of year 10000: RFC 3339 has four digits for a year. */
const YEAR_0 = -62_167_219_200n;
const YEAR_10000 = 253_402_300_800n;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * A tar entry as a row of a TOC. Nothing is cleaned: names are raw, also the size of an entry that
 * has no data is what its header says.
 * @throws unsupported for an entry that a zTOC cannot hold: global pax headers, GNU sparse files, …
 */
export function fileMetadataOf(entry: TarEntry): FileMetadata {
  const type = TYPE_NAMES.get(entry.typeflag);
  if (type === undefined) {
    const name = JSON.stringify(decoder.decode(entry.name.subarray(0, 200)));
    throw new SociError(
      "unsupported",
      `Cannot put tar entry ${name} at byte ${entry.headerStart} into a zTOC: type is ${flagText(entry.typeflag)}, want '0' to '6'`,
    );
  }
  return {
    name: entry.name,
    type,
    uncompressedOffset: entry.dataStart,
    uncompressedSize: entry.size,
    linkname: entry.linkname,
    mode: entry.mode,
    uid: Number(BigInt.asUintN(32, entry.uid)),
    gid: Number(BigInt.asUintN(32, entry.gid)),
    uname: entry.uname,
    gname: entry.gname,
    modTime: rfc3339Of(entry.mtime),
    devmajor: entry.devmajor,
    devminor: entry.devminor,
    xattrs: entry.pax,
  };
}

/** RFC 3339 in UTC, the fraction without trailing zeros; empty when the year has not four digits. */
export function rfc3339Of({ seconds, nanoseconds }: TarTime): string {
  if (seconds < YEAR_0 || seconds >= YEAR_10000) {
    return "";
  }
  const whole = new Date(Number(seconds) * 1000)
    .toISOString()
    .slice(0, "2006-01-02T15:04:05".length);
  if (nanoseconds === 0) {
    return `${whole}Z`;
  }
  const fraction = String(nanoseconds).padStart(9, "0").replace(/0+$/, "");
  return `${whole}.${fraction}Z`;
}

function flagText(typeflag: number): string {
  return typeflag > 0x20 && typeflag < 0x7f
    ? `'${String.fromCharCode(typeflag)}'`
    : `0x${typeflag.toString(16).padStart(2, "0")}`;
}
