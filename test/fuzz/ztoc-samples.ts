import { gzipSync } from "node:zlib";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { bytesOf, encodeZtoc } from "../../src/ztoc/encode-ztoc.ts";
import { encodeGzipZinfoHeader } from "../../src/ztoc/gzip-zinfo.ts";
import type { CompressionAlgorithm } from "../../src/ztoc/ztoc.ts";
import { buildBytes } from "../ztoc/build.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { block, concat, END, entry, pax } from "../tar/tar-blocks.ts";
import { file, tableOf } from "../ztoc/files.ts";

/** A layer and its zTOC, both whole. */
export interface ZtocSample {
  readonly layer: Uint8Array;
  readonly ztoc: Uint8Array;
}

const TAR = concat([
  block({ name: "d/", type: "5" }),
  entry({ name: "d/small" }, "hello"),
  entry({ name: "d/large" }, sampleBytes(60_000)),
  pax([
    ["path", "d/µ"],
    ["SCHILY.xattr.user.a", "b"],
    ["SCHILY.xattr.security.capability", "c"],
  ]),
  entry({}, sampleBytes(3000, 2)),
  block({ name: "d/link", type: "2", linkname: "small" }),
  END,
]);

function sampleOf(
  layer: Uint8Array,
  spanSize: number,
  algorithm: CompressionAlgorithm = "gzip",
): ZtocSample {
  return { layer, ztoc: buildBytes(layer, { engine: new PakoEngine(), spanSize, algorithm }) };
}

/** Layers of several spans, members and forms. */
export const ZTOC_SAMPLES: readonly ZtocSample[] = [
  sampleOf(TAR, 10_000, "uncompressed"),
  sampleOf(gzipSync(TAR, { memLevel: 1 }), 4 << 20),
  sampleOf(gzipSync(TAR, { memLevel: 1 }), 20_000),
  sampleOf(
    Buffer.concat([gzipSync(TAR.subarray(0, 30_000)), gzipSync(TAR.subarray(30_000))]),
    9000,
  ),
];

/** With a zinfo of the first version, which has no windows: most of its bytes are the file table. */
export const TABLE_SAMPLE: Uint8Array = bytesOf(
  encodeZtoc({
    compressedArchiveSize: 4096,
    uncompressedArchiveSize: 8192,
    files: tableOf([
      file({ name: Buffer.from("a"), uncompressedOffset: 512, uncompressedSize: 600 }),
      file({
        name: Buffer.from("b"),
        type: "symlink",
        linkname: Buffer.from("a"),
        uncompressedOffset: 2048,
      }),
      file({
        name: Buffer.from("c"),
        uncompressedOffset: 2560,
        modTime: "2020-09-13T12:26:40Z",
        xattrs: [
          { key: Buffer.from("SCHILY.xattr.user.x"), value: Buffer.from("1") },
          { key: Buffer.from("comment"), value: Buffer.from("2") },
        ],
      }),
    ]),
    compressionAlgorithm: "gzip",
    maxSpanId: 0,
    spanDigests: [digestOf("x")],
    checkpoints: { size: 12, chunks: () => [encodeGzipZinfoHeader(1, 4096)] },
  }),
);
