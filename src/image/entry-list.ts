import { isKind, SociError } from "../errors.ts";
import type { SparseExtent, TarEntry } from "../tar/tar-entry.ts";
import type { FileMetadata } from "../ztoc/file-metadata.ts";
import { FileTable } from "../ztoc/file-table.ts";
import { isSparse } from "../ztoc/is-sparse.ts";
import { needsXattrs } from "../ztoc/needs-xattrs.ts";
import { TocOrder } from "../ztoc/toc-order.ts";
import { extentsOf, isBeyondZtocs, unpackedMetadata } from "./unpacked-entry.ts";

export interface EntryListOptions {
  /** Most bytes that the packed rows may take. */
  readonly maxBytes?: number | undefined;
  /** Most runs of data in all sparse files together. */
  readonly maxExtents?: number | undefined;
}

const MAX_BYTES = 2 ** 31 - 1;
/** An entry of a few hundred bytes can map a megabyte of runs. */
const MAX_EXTENTS = 1 << 22;

/**
 * The entries of a layer's tar that an unpacker takes, packed; and whether a zTOC could hold them. A
 * layer of a few megabytes can hold entries for many gigabytes, so there is a limit.
 */
export class EntryList {
  /** In the order of the tar. */
  readonly files: FileTable;
  /** Runs of data of sparse files, by number of the row. */
  readonly sparse = new Map<number, readonly SparseExtent[]>();
  readonly #maxExtents: number;
  readonly #order = new TocOrder();
  #extents = 0;
  #needsXattrs = false;
  #ztocFault: string | undefined;

  constructor({ maxBytes = MAX_BYTES, maxExtents = MAX_EXTENTS }: EntryListOptions = {}) {
    this.files = new FileTable({ maxBytes });
    this.#maxExtents = maxExtents;
  }

  /** Whether a layer with these entries needs extended attributes. */
  get needsXattrs(): boolean {
    return this.#needsXattrs;
  }

  /** Why no zTOC can be made of these entries, or none that can be read by; undefined: it can. */
  get ztocFault(): string | undefined {
    return this.#ztocFault;
  }

  /** @throws data-loss for an entry that no unpacker takes, and for too many of them */
  add(entry: TarEntry): void {
    const file = rowOf(entry);
    if (isBeyondZtocs(entry)) this.#ztocFault ??= faultOf(entry);
    if (file === undefined) return;
    this.#ztocFault ??=
      this.#order.check(file) ??
      (entry.sparse || isSparse(file)
        ? "it holds a sparse file, whose holes a zTOC cannot tell"
        : undefined);
    this.#needsXattrs ||= needsXattrs(file);
    if (entry.sparseExtents !== undefined) this.#addExtents(entry);
    try {
      this.files.append(file);
    } catch (cause) {
      if (!isKind(cause, "unsupported")) throw cause;
      throw new SociError("data-loss", "Cannot list the files: they are too many", { cause });
    }
  }

  /** All rows in order, one after another: views of the table. */
  *rows(): Generator<FileMetadata, void> {
    for (let row = 0; row < this.files.length; row++) yield this.files.at(row);
  }

  #addExtents(entry: TarEntry): void {
    const extents = extentsOf(entry);
    this.#extents += extents.length;
    if (this.#extents > this.#maxExtents) {
      throw new SociError(
        "data-loss",
        `Cannot list the files: sparse ones have more than ${this.#maxExtents} runs of data`,
      );
    }
    this.sparse.set(this.files.length, extents);
  }
}

function rowOf(entry: TarEntry): FileMetadata | undefined {
  try {
    return unpackedMetadata(entry);
  } catch (cause) {
    if (!isKind(cause, "unsupported")) throw cause;
    throw new SociError(
      "data-loss",
      `Cannot unpack the entry at byte ${entry.headerStart}: it is of a type that no unpacker takes`,
      { cause },
    );
  }
}

function faultOf({ headerStart }: TarEntry): string {
  return `its entry at byte ${headerStart} is of a type that a zTOC cannot hold`;
}
