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

function isTable(bytes: Uint8Array): boolean {
  // A zTOC begins with an offset in itself, which is never that large.
  return MAGIC.equals(bytes.subarray(0, MAGIC.length));
}
