import { SociError } from "../errors.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { DecodedFile } from "./decoded-file.ts";
import type { FileMetadata } from "./file-metadata.ts";
import { FlatbufferReader, type FlatTable } from "./flatbuffer-reader.ts";
import { GzipZinfo } from "./gzip-zinfo.ts";
import { TarZinfo } from "./tar-zinfo.ts";
import { TocOrder } from "./toc-order.ts";
import { TocRows } from "./toc-rows.ts";
import { ALGORITHM, COMPRESSION_INFO, TOC, ZTOC } from "./ztoc-schema.ts";
import type { CompressionAlgorithm, Ztoc } from "./ztoc.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Memory of a row in a hostile zTOC, whose rows may all be one table; honest rows have over 80 bytes each. */
const ROW_BYTES = 64;

/**
 * Decodes a zTOC, which may come from anybody: every offset is checked, and nothing is allocated that
 * the bytes do not hold. The result aliases `bytes`. Whether its spans can be used is checkSpans()'s
 * question. @throws data-loss
 */
export function decodeZtoc(bytes: Uint8Array): Ztoc {
  const reader = new FlatbufferReader(bytes, "zTOC");
  const root = reader.root();
  const toc = reader.table(root, ZTOC.toc, "TOC");
  const info = reader.table(root, ZTOC.compressionInfo, "compression info");
  if (toc === undefined || info === undefined) {
    throw invalid(`it has no ${toc === undefined ? "TOC" : "compression info"}`);
  }
  const compressionAlgorithm = algorithmOf(
    reader.int8(info, COMPRESSION_INFO.algorithm, ALGORITHM.gzip, "compression algorithm"),
  );
  const checkpoints = reader.bytes(info, COMPRESSION_INFO.checkpoints, "checkpoints");
  return {
    version: decoder.decode(reader.bytes(root, ZTOC.version, "version")),
    buildToolIdentifier: decoder.decode(
      reader.bytes(root, ZTOC.buildToolIdentifier, "build tool identifier"),
    ),
    compressedArchiveSize: reader.size(root, ZTOC.compressedArchiveSize, "compressed archive size"),
    uncompressedArchiveSize: reader.size(
      root,
      ZTOC.uncompressedArchiveSize,
      "uncompressed archive size",
    ),
    compressionAlgorithm,
    maxSpanId: reader.int32(info, COMPRESSION_INFO.maxSpanId, "max span ID"),
    spanDigests: spanDigestsOf(reader, info),
    zinfo: compressionAlgorithm === "gzip" ? new GzipZinfo(checkpoints) : new TarZinfo(checkpoints),
    files: filesOf(reader, toc),
  };
}

function algorithmOf(value: number): CompressionAlgorithm {
  switch (value) {
    case ALGORITHM.gzip:
      return "gzip";
    case ALGORITHM.uncompressed:
      return "uncompressed";
    default:
      throw invalid(`compression algorithm is ${value}, want 1 (gzip) or 2 (uncompressed)`);
  }
}

function spanDigestsOf(reader: FlatbufferReader, info: FlatTable): readonly Digest[] {
  const vector = reader.vector(info, COMPRESSION_INFO.spanDigests, "span digests");
  const digests: Digest[] = [];
  for (let index = 0; index < vector.length; index++) {
    const bytes = reader.bytesOf(vector, index, "span digest");
    reader.charge(4 + bytes.length);
    const text = decoder.decode(bytes.subarray(0, 200));
    if (!isDigest(text)) {
      throw invalid(
        `digest of span ${index} is ${JSON.stringify(text)}, want sha256:<64 hex digits>`,
      );
    }
    digests.push(text);
  }
  return digests;
}

function filesOf(reader: FlatbufferReader, toc: FlatTable): readonly FileMetadata[] {
  const vector = reader.vector(toc, TOC.metadata, "files");
  reader.charge(vector.length * ROW_BYTES);
  const rows = new TocRows(reader);
  const files: DecodedFile[] = [];
  let isSorted = true;
  let last = 0;
  for (let index = 0; index < vector.length; index++) {
    const file = new DecodedFile(rows, reader.tableOf(vector, index, "file"));
    const offset = file.uncompressedOffset;
    isSorted &&= offset >= last;
    last = offset;
    files.push(file);
  }
  if (!isSorted) {
    files.sort((a, b) => a.uncompressedOffset - b.uncompressedOffset);
  }
  const order = new TocOrder();
  for (const file of files) {
    const fault = order.check(file);
    if (fault !== undefined) throw invalid(fault);
  }
  return files;
}

function invalid(is: string): SociError {
  return new SociError("data-loss", `Cannot decode zTOC: ${is}`);
}
