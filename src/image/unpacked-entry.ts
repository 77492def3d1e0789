import { SociError } from "../errors.ts";
import type { SparseExtent, TarEntry } from "../tar/tar-entry.ts";
import type { FileMetadata } from "../ztoc/file-metadata.ts";
import { fileMetadataOf } from "../ztoc/file-metadata-of.ts";

const REGULAR = 0x30;
const CONTIGUOUS = 0x37;
const GNU_SPARSE = 0x53;
const PAX_GLOBAL = 0x67;

/**
 * What an unpacker makes of an entry, also of those that no zTOC holds; undefined for one that makes
 * nothing. @throws unsupported for a type that no unpacker takes
 */
export function unpackedMetadata(entry: TarEntry): FileMetadata | undefined {
  if (entry.typeflag === PAX_GLOBAL) return undefined;
  const isRegular = entry.typeflag === CONTIGUOUS || entry.typeflag === GNU_SPARSE;
  return fileMetadataOf(isRegular ? { ...entry, typeflag: REGULAR } : entry);
}

/** Whether unpackers take this entry while the format of zTOCs has no row for it. */
export function isBeyondZtocs({ typeflag }: TarEntry): boolean {
  return typeflag === PAX_GLOBAL || typeflag === CONTIGUOUS || typeflag === GNU_SPARSE;
}

/** Where a sparse file's data lies. A map that does not fit the data would read bytes of what follows. @throws data-loss */
export function extentsOf({
  name,
  sparseExtents = [],
  storedSize,
  dataStart,
}: TarEntry): readonly SparseExtent[] {
  const mapped = sparseExtents.reduce((sum, { length }) => sum + length, 0);
  if (mapped !== storedSize) {
    throw new SociError(
      "data-loss",
      `Cannot read sparse file ${JSON.stringify(Buffer.from(name).toString())} at byte ${dataStart}: its map says ${mapped} bytes of data, want ${storedSize}`,
    );
  }
  return sparseExtents;
}
