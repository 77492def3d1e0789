import type { FileMetadata } from "./file-metadata.ts";

const XATTR_PREFIX = Buffer.from("SCHILY.xattr.");
const OPAQUE_SUFFIX = Buffer.from(".wh..wh..opq");

/**
 * Whether a layer with this entry needs extended attributes: the entry carries one, or it is an
 * opaque whiteout, which overlayfs stores as one. Names are judged as the reference does: by suffix.
 */
export function needsXattrs(file: FileMetadata): boolean {
  return (
    file.xattrs.some(({ key }) => XATTR_PREFIX.equals(key.subarray(0, XATTR_PREFIX.length))) ||
    OPAQUE_SUFFIX.equals(file.name.subarray(-OPAQUE_SUFFIX.length))
  );
}
