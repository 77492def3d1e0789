import type { FileMetadata } from "./file-metadata.ts";

const SPARSE_PREFIX = Buffer.from("GNU.sparse.");

/**
 * Whether a TOC's row is a sparse file that pax records describe. A zTOC holds its logical size but
 * not where its holes are, so reading it by spans gives wrong bytes: the layer must be streamed.
 * https://www.gnu.org/software/tar/manual/html_node/PAX-0.html
 */
export function isSparse(file: FileMetadata): boolean {
  const { xattrs } = file;
  // Most files have none, and a row makes its type's text when asked.
  return (
    xattrs.length > 0 &&
    file.type === "reg" &&
    xattrs.some(({ key }) => SPARSE_PREFIX.equals(key.subarray(0, SPARSE_PREFIX.length)))
  );
}
