import {
  applyPaxRecords,
  decodePaxRecords,
  type PaxRecords,
  sortedRecords,
} from "./pax-records.ts";
import { SparseMap } from "./sparse-map.ts";
import {
  paddingOf,
  TYPE_DIR,
  TYPE_GNU_LONG_LINK,
  TYPE_GNU_LONG_NAME,
  TYPE_PAX,
  TYPE_PAX_GLOBAL,
  TYPE_REG,
  TYPE_REG_OLD,
} from "./tar-block.ts";
import type { SparseExtent, TarEntry, TarTime } from "./tar-entry.ts";
import { bodyBytesOf, EMPTY, safeSize, type TarHeader } from "./tar-header.ts";

/** An entry with its extensions applied; where its data starts is not known yet. */
export interface PendingEntry {
  readonly header: TarHeader;
  readonly records: PaxRecords;
  readonly map: SparseMap;
  readonly headerStart: number;
  /** Bytes of data in the archive, a pax 1.0 map included. */
  readonly dataBytes: number;
  readonly padding: number;
}

/** What an entry is missing until the scanner stands at its data. */
export interface DataPlace {
  readonly dataStart: number;
  readonly storedSize: number;
  readonly extents?: readonly SparseExtent[] | undefined;
}

const NO_RECORDS: PaxRecords = new Map();
const SLASH = 0x2f;
/** Go's zero time: the first second of year 1. */
const ZERO_TIME: TarTime = { seconds: -62_135_596_800n, nanoseconds: 0 };

/** Whether a header of the type only says something about the next one (or, if global, about all). */
export function isExtension(typeflag: number): boolean {
  return (
    typeflag === TYPE_PAX ||
    typeflag === TYPE_PAX_GLOBAL ||
    typeflag === TYPE_GNU_LONG_NAME ||
    typeflag === TYPE_GNU_LONG_LINK
  );
}

/**
 * Puts one entry together from its headers, in the order of Go's archive/tar: the last pax header
 * replaces earlier ones, GNU long names win over pax paths wherever they stand.
 */
export class EntryAssembler {
  #headerStart: number | undefined;
  #records: PaxRecords | undefined;
  #recordsOffset = 0;
  #longName: Uint8Array = EMPTY;
  #longLink: Uint8Array = EMPTY;

  /** A header block at `offset` belongs to the entry. */
  addHeader(offset: number): void {
    this.#headerStart ??= offset;
  }

  /**
   * Takes the body of an extension whose header stands at `offset`. A global pax header is an entry
   * by itself, with its name and records only, as Go reports it; it is never applied.
   */
  addExtension(
    header: TarHeader,
    body: Uint8Array,
    { offset, dataStart }: { readonly offset: number; readonly dataStart: number },
  ): TarEntry | undefined {
    switch (header.typeflag) {
      case TYPE_PAX:
        this.#records = decodePaxRecords(body, offset);
        this.#recordsOffset = offset;
        return undefined;
      case TYPE_PAX_GLOBAL:
        return this.#global(header, decodePaxRecords(body, offset), dataStart);
      case TYPE_GNU_LONG_NAME:
        this.#longName = upToNul(body);
        return undefined;
      default:
        this.#longLink = upToNul(body);
        return undefined;
    }
  }

  /** Applies the extensions to the entry's own header at `offset`. @throws data-loss */
  begin(header: TarHeader, offset: number): PendingEntry {
    const records = this.#records ?? NO_RECORDS;
    applyPaxRecords(header, records, this.#recordsOffset);
    if (this.#longName.length > 0) {
      header.name = this.#longName;
    }
    if (this.#longLink.length > 0) {
      header.linkname = this.#longLink;
    }
    if (header.typeflag === TYPE_REG_OLD) {
      header.typeflag = header.name.at(-1) === SLASH ? TYPE_DIR : TYPE_REG;
    }
    const dataBytes = safeSize(bodyBytesOf(header, offset), offset);
    const headerStart = this.#headerStart ?? offset;
    this.#forget();
    return {
      header,
      records,
      map: new SparseMap(offset),
      headerStart,
      dataBytes,
      padding: paddingOf(dataBytes),
    };
  }

  #global(header: TarHeader, records: PaxRecords, dataStart: number): TarEntry {
    const path = records.get("path")?.value ?? EMPTY;
    const headerStart = this.#headerStart ?? 0;
    this.#forget();
    return {
      name: path.length > 0 ? path : header.name,
      typeflag: header.typeflag,
      linkname: EMPTY,
      size: 0,
      mode: 0n,
      uid: 0n,
      gid: 0n,
      uname: EMPTY,
      gname: EMPTY,
      mtime: ZERO_TIME,
      devmajor: 0n,
      devminor: 0n,
      pax: sortedRecords(records),
      sparse: false,
      headerStart,
      dataStart,
      storedSize: 0,
    };
  }

  #forget(): void {
    this.#headerStart = undefined;
    this.#records = undefined;
    this.#longName = EMPTY;
    this.#longLink = EMPTY;
  }
}

/** The entry, once it is known where its data stands. @throws data-loss for a size past 2^53 */
export function completeEntry(
  { header, records, headerStart }: PendingEntry,
  { dataStart, storedSize, extents }: DataPlace,
): TarEntry {
  return {
    name: header.name,
    typeflag: header.typeflag,
    linkname: header.linkname,
    size: safeSize(header.size, headerStart),
    mode: header.mode,
    uid: header.uid,
    gid: header.gid,
    uname: header.uname,
    gname: header.gname,
    mtime: header.mtime,
    devmajor: header.devmajor,
    devminor: header.devminor,
    pax: sortedRecords(records),
    sparse: extents !== undefined,
    sparseExtents: extents,
    headerStart,
    dataStart,
    storedSize,
  };
}

function upToNul(body: Uint8Array): Uint8Array {
  const end = body.indexOf(0);
  return end < 0 ? body : body.slice(0, end);
}
