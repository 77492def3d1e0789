import type { Digest } from "../oci/digest.ts";
import { FILE_TYPES } from "./file-metadata.ts";
import type { FileRow } from "./file-row.ts";
import type { FileTable } from "./file-table.ts";
import { type ByteSource, type FlatOffset, FlatbufferWriter } from "./flatbuffer-writer.ts";
import { ALGORITHM, COMPRESSION_INFO, FILE_METADATA, TOC, XATTR, ZTOC } from "./ztoc-schema.ts";
import { BUILD_TOOL_IDENTIFIER, type CompressionAlgorithm, ZTOC_VERSION } from "./ztoc.ts";

export interface EncodeZtocInput {
  readonly version?: string;
  readonly buildToolIdentifier?: string;
  readonly compressedArchiveSize: number;
  readonly uncompressedArchiveSize: number;
  /** Emptied while it is encoded: its memory and that of the result are not needed at once. */
  readonly files: FileTable;
  readonly compressionAlgorithm: CompressionAlgorithm;
  readonly maxSpanId: number;
  readonly spanDigests: readonly Digest[];
  /** The zinfo's bytes; read only when the zTOC is. */
  readonly checkpoints: ByteSource;
}

/** A zTOC's bytes, front to back; they can be read more than once. */
export type EncodedZtoc = ByteSource;

const encoder = new TextEncoder();
/** The seven types there are, made once: a layer has many files. */
const TYPE_BYTES: ReadonlyMap<string, Uint8Array> = new Map(
  FILE_TYPES.map((type) => [type, encoder.encode(type)]),
);

/**
 * A zTOC's bytes: those of the reference for the same input. The result reads `checkpoints` each
 * time it is read itself, and can be read again. @throws unsupported beyond 2 GiB
 */
export function encodeZtoc({
  version = ZTOC_VERSION,
  buildToolIdentifier = BUILD_TOOL_IDENTIFIER,
  compressedArchiveSize,
  uncompressedArchiveSize,
  files,
  compressionAlgorithm,
  maxSpanId,
  spanDigests,
  checkpoints,
}: EncodeZtocInput): EncodedZtoc {
  // The order of these calls is the format: it decides where everything lies.
  const writer = new FlatbufferWriter();
  const versionAt = writer.string(encoder.encode(version));
  const toolAt = writer.string(encoder.encode(buildToolIdentifier));
  const tocAt = writeToc(writer, files);
  const checkpointsAt = writer.byteVector(checkpoints);
  const digestsAt = writer.vector(
    spanDigests.map((digest) => writer.string(encoder.encode(digest))),
  );

  writer.startTable(COMPRESSION_INFO.slots);
  writer.addInt32(COMPRESSION_INFO.maxSpanId, maxSpanId);
  writer.addOffset(COMPRESSION_INFO.spanDigests, digestsAt);
  writer.addOffset(COMPRESSION_INFO.checkpoints, checkpointsAt);
  writer.addInt8(COMPRESSION_INFO.algorithm, ALGORITHM[compressionAlgorithm], ALGORITHM.gzip);
  const infoAt = writer.endTable();

  writer.startTable(ZTOC.slots);
  writer.addOffset(ZTOC.version, versionAt);
  writer.addOffset(ZTOC.buildToolIdentifier, toolAt);
  writer.addOffset(ZTOC.toc, tocAt);
  writer.addInt64(ZTOC.compressedArchiveSize, compressedArchiveSize);
  writer.addInt64(ZTOC.uncompressedArchiveSize, uncompressedArchiveSize);
  writer.addOffset(ZTOC.compressionInfo, infoAt);
  return writer.finish(writer.endTable());
}

/** All bytes of a source, in one array: for small ones. */
export function bytesOf(source: ByteSource): Uint8Array {
  const bytes = new Uint8Array(source.size);
  let at = 0;
  for (const chunk of source.chunks()) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function writeToc(writer: FlatbufferWriter, files: FileTable): FlatOffset {
  const rows = new Float64Array(files.length);
  let index = files.length;
  for (const row of files.drain()) rows[--index] = writeFile(writer, row);
  const metadataAt = writer.vector(rows);
  writer.startTable(TOC.slots);
  writer.addOffset(TOC.metadata, metadataAt);
  return writer.endTable();
}

function writeFile(writer: FlatbufferWriter, file: FileRow): FlatOffset {
  const { memory } = file;
  const nameAt = writer.string(memory, file.name.start, file.name.end);
  const typeAt = writer.string(TYPE_BYTES.get(file.type) ?? encoder.encode(file.type));
  const linknameAt = writer.string(memory, file.linkname.start, file.linkname.end);
  const unameAt = writer.string(memory, file.uname.start, file.uname.end);
  const gnameAt = writer.string(memory, file.gname.start, file.gname.end);
  const modTimeAt = writer.string(memory, file.modTime.start, file.modTime.end);
  const xattrsAt = writer.vector(
    file.xattrs.map(({ key, value }) => {
      const keyAt = writer.string(key);
      const valueAt = writer.string(value);
      writer.startTable(XATTR.slots);
      writer.addOffset(XATTR.key, keyAt);
      writer.addOffset(XATTR.value, valueAt);
      return writer.endTable();
    }),
  );
  writer.startTable(FILE_METADATA.slots);
  writer.addOffset(FILE_METADATA.name, nameAt);
  writer.addOffset(FILE_METADATA.type, typeAt);
  writer.addInt64(FILE_METADATA.uncompressedOffset, file.uncompressedOffset);
  writer.addInt64(FILE_METADATA.uncompressedSize, file.uncompressedSize);
  writer.addOffset(FILE_METADATA.linkname, linknameAt);
  writer.addInt64(FILE_METADATA.mode, file.mode);
  writer.addUint32(FILE_METADATA.uid, file.uid);
  writer.addUint32(FILE_METADATA.gid, file.gid);
  writer.addOffset(FILE_METADATA.uname, unameAt);
  writer.addOffset(FILE_METADATA.gname, gnameAt);
  writer.addOffset(FILE_METADATA.modTime, modTimeAt);
  writer.addInt64(FILE_METADATA.devmajor, file.devmajor);
  writer.addInt64(FILE_METADATA.devminor, file.devminor);
  writer.addOffset(FILE_METADATA.xattrs, xattrsAt);
  return writer.endTable();
}
