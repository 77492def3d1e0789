import { closeSync, openSync, readSync } from "node:fs";
import { SociError } from "../errors.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { decodeEntries } from "../tree/decode-entries.ts";
import { ENTRIES } from "../tree/entries-format.ts";
import type { FileMetadata } from "../ztoc/file-metadata.ts";
import { decodeZtoc } from "../ztoc/decode-ztoc.ts";

const MAGIC = Buffer.from(ENTRIES.magic, "latin1");

/**
 * The rows in a cached layer's file of entries: of a layer that came by a zTOC that is its zTOC, as
 * nothing need be made of it then; of one that was read whole it is what encodeEntries() made. Views
 * alias `bytes`. @throws data-loss
 */
export function layerEntriesOf(bytes: Uint8Array): readonly FileMetadata[] {
  return isTable(bytes) ? decodeEntries(bytes).files : decodeZtoc(bytes).files;
}

/** Whether the layer with this file of entries was read whole, rather than came by a zTOC. */
export function cameWhole(path: string): boolean {
  const head = new Uint8Array(MAGIC.length);
  try {
    const fd = openSync(path, "r");
    try {
      return readSync(fd, head, 0, head.length, 0) === head.length && isTable(head);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    const kind = isErrno(cause, "ENOENT") ? "not-found" : "failed-precondition";
    throw new SociError(kind, `Cannot read entries "${path}"`, { cause });
  }
}

function isTable(bytes: Uint8Array): boolean {
  // A zTOC begins with an offset in itself, which is never that large.
  return MAGIC.equals(bytes.subarray(0, MAGIC.length));
}
