import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { TarScanner } from "../../src/tar/tar-scanner.ts";
import { bytesOf, encodeZtoc } from "../../src/ztoc/encode-ztoc.ts";
import { fileMetadataOf } from "../../src/ztoc/file-metadata-of.ts";
import { FileTable } from "../../src/ztoc/file-table.ts";
import { encodeCheckpoint, encodeGzipZinfoHeader } from "../../src/ztoc/gzip-zinfo.ts";
import { encodeTarZinfo } from "../../src/ztoc/tar-zinfo.ts";

/** A row of test/fixtures/golden/expected.jsonl; see the README there. */
export interface GoldenRow {
  readonly title: string;
  readonly file: string;
  readonly layerSha256: string;
  readonly compression: string;
  readonly spanSize: number;
  readonly ztocDigest?: Digest;
  readonly ztocSize?: number;
  readonly maxSpanId?: number;
  readonly nFiles?: number;
  readonly compressedSize?: number;
  readonly uncompressedSize?: number;
  readonly error?: string;
  readonly loadError?: string;
  readonly spanManagerError?: string;
  readonly extract?: readonly GoldenExtract[];
}

/** A file that the reference read through the zTOC. */
export interface GoldenExtract {
  readonly name?: string;
  readonly nameBase64?: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly error?: string;
  /** The reference gave other bytes than the tar holds. */
  readonly differsFromTar?: boolean;
}

const FOLDER = new URL("../fixtures/golden/", import.meta.url);
const GZIP_HEADER_BYTES = 10;
const CHECKPOINT_BYTES = 32_785;

export function goldenRows(): readonly GoldenRow[] {
  const lines = readFileSync(new URL("expected.jsonl", FOLDER), "utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const row: GoldenRow = JSON.parse(line);
    return { ...row, title: `${row.file} as ${row.compression}, span size ${row.spanSize}` };
  });
}

/** A layer's bytes; the plain form is in the gzip form. */
export function goldenLayer(file: string): Uint8Array {
  const isGzip = file.endsWith(".gz");
  const bytes = readFileSync(new URL(`layers/${file}${isGzip ? "" : ".gz"}`, FOLDER));
  return isGzip ? bytes : gunzipSync(bytes);
}

export interface Toc {
  readonly files: FileTable;
  readonly endOffset: number;
}

/** The TOC of a layer. */
export function tocOf({ file, compression }: GoldenRow): Toc {
  const layer = goldenLayer(file);
  const tar = compression === "gzip" ? gunzipSync(layer) : layer;
  const files = new FileTable();
  const scanner = new TarScanner({ onEntry: (entry) => files.append(fileMetadataOf(entry)) });
  for (let at = 0; at < tar.length; at += 10_000) {
    scanner.push(tar.subarray(at, at + 10_000));
  }
  scanner.finish();
  return { files, endOffset: scanner.endOffset };
}

/** The zTOC of a plain layer, or of a gzip layer that is one span: those need no inflate. */
export function ztocOf(row: GoldenRow): Uint8Array {
  const layer = goldenLayer(row.file);
  const { files, endOffset } = tocOf(row);
  const isGzip = row.compression === "gzip";
  const checkpoints = isGzip
    ? oneCheckpoint(row.spanSize)
    : encodeTarZinfo({ spanSize: row.spanSize, size: layer.length });
  return bytesOf(
    encodeZtoc({
      compressedArchiveSize: layer.length,
      uncompressedArchiveSize: endOffset,
      files,
      compressionAlgorithm: isGzip ? "gzip" : "uncompressed",
      maxSpanId: row.maxSpanId ?? 0,
      spanDigests: isGzip
        ? [digestOf(layer.subarray(GZIP_HEADER_BYTES))]
        : digestsOf(layer, row.spanSize),
      checkpoints: { size: checkpoints.length, chunks: () => [checkpoints] },
    }),
  );
}

function oneCheckpoint(spanSize: number): Uint8Array {
  const record = new Uint8Array(CHECKPOINT_BYTES);
  encodeCheckpoint(record, { in: GZIP_HEADER_BYTES, out: 0, bits: 0 });
  return new Uint8Array(Buffer.concat([encodeGzipZinfoHeader(1, spanSize), record]));
}

function digestsOf(layer: Uint8Array, spanSize: number): readonly Digest[] {
  const digests: Digest[] = [];
  // A span size below 1 gives no spans: the reference writes such a zTOC, and then refuses it.
  for (let at = 0; spanSize > 0 && at < layer.length; at += spanSize) {
    digests.push(digestOf(layer.subarray(at, at + spanSize)));
  }
  return digests;
}
