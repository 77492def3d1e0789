import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { WHOLE_SPAN_BYTES } from "../../src/cache/encode-geometry.ts";
import { MemoryByteLog } from "../../src/bytes/byte-log.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import {
  encodeIngestedZtoc,
  type IngestedLayer,
  LayerIngest,
  type LayerIngestOptions,
} from "../../src/image/layer-ingest.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { bytesOf } from "../../src/ztoc/encode-ztoc.ts";
import { buildTar } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

const SPAN_SIZE = 65_536;
const tar = Buffer.from(
  await buildTar([
    { name: "dir", type: "directory" },
    { name: "dir/big", content: sampleBytes(700_000, 3) },
    { name: "noise", content: randomBytes(300_000) },
    { name: "link", type: "symlink", linkname: "dir/big" },
  ]),
);

const large = Buffer.from(await buildTar([{ name: "a", content: sampleBytes(9_000_000, 4) }]));

interface Taken {
  readonly layer: IngestedLayer;
  readonly bytes: Buffer;
  readonly cuts: readonly number[];
}

async function ingest(
  blob: Uint8Array,
  options: Partial<LayerIngestOptions> & { readonly chunkBytes?: number } = {},
): Promise<Taken> {
  const { chunkBytes = 10_000, ...rest } = options;
  const parts: Uint8Array[] = [];
  const cuts: number[] = [];
  let size = 0;
  const sink = {
    append(bytes: Uint8Array) {
      parts.push(bytes.slice());
      size += bytes.length;
    },
    cut() {
      cuts.push(size);
    },
  };
  using taker = new LayerIngest({
    engine: () => new WasmEngine(),
    checkpoints: new MemoryByteLog(),
    spanSize: SPAN_SIZE,
    sink,
    ...rest,
  });
  for (let at = 0; at < blob.length; at += chunkBytes) {
    const chunk = new Uint8Array(blob.subarray(at, at + chunkBytes));
    await taker.push(chunk);
    chunk.fill(0xff);
  }
  return { layer: await taker.finish(), bytes: Buffer.concat(parts), cuts };
}

const half = 400_000;
const ENCODINGS = [
  { title: "gzip", blob: gzipSync(tar) },
  {
    title: "gzip of several members",
    blob: Buffer.concat([gzipSync(tar.subarray(0, half)), gzipSync(tar.subarray(half))]),
  },
  { title: "plain tar", blob: tar },
  { title: "zstd", blob: zstdCompressSync(tar) },
  {
    title: "zstd of several frames",
    blob: Buffer.concat([
      zstdCompressSync(tar.subarray(0, half)),
      zstdCompressSync(tar.subarray(half)),
    ]),
  },
];

describe("LayerIngest", () => {
  test.each(ENCODINGS)("hands on the bytes of $title and its diff ID", async ({ blob }) => {
    const { layer, bytes, cuts } = await ingest(blob);
    expect(bytes.equals(tar)).toBe(true);
    expect(layer.diffId).toBe(digestOf(tar));
    expect(layer).toMatchObject({ compressedSize: blob.length, uncompressedSize: tar.length });
    expect(cuts[0]).toBe(0);
    expect(layer.entries.files).toHaveLength(4);
  });

  test.each([
    { title: "gzip", blob: gzipSync(tar), algorithm: "gzip" },
    { title: "plain tar", blob: tar, algorithm: "uncompressed" },
  ] as const)("makes the zTOC of $title that create makes", async ({ blob, algorithm }) => {
    const { layer, cuts } = await ingest(blob);
    const want = await ztocOf(blob, { algorithm, spanSize: SPAN_SIZE });
    const built = encodeIngestedZtoc(layer);
    if (built === undefined) throw new Error("there is no zTOC");
    expect(digestOf(bytesOf(built.encoded))).toBe(digestOf(want.bytes));
    expect(built.summary.size).toBe(want.bytes.length);
    const { zinfo } = want.ztoc;
    const starts = cuts.map((_, span) => zinfo.rangeOf(span, want.ztoc).uncompressedStart);
    expect(cuts).toEqual(starts);
    expect(cuts).toHaveLength(want.ztoc.maxSpanId + 1);
  });

  test.each([
    { title: "zstd", blob: zstdCompressSync(large), withSpans: true },
    { title: "gzip", blob: gzipSync(large), withSpans: false },
    { title: "plain tar", blob: large, withSpans: false },
  ])("cuts $title into equal spans where none can be entered", async ({ blob, withSpans }) => {
    const { layer, bytes, cuts } = await ingest(blob, { withSpans });
    expect(bytes.equals(large)).toBe(true);
    expect(cuts).toEqual([0, WHOLE_SPAN_BYTES, 2 * WHOLE_SPAN_BYTES]);
    expect(layer.spans).toBeUndefined();
    expect(encodeIngestedZtoc(layer)).toBeUndefined();
  });

  test.each([1, 3, 511])("takes chunks of %d bytes", async (chunkBytes) => {
    const small = await buildTar([{ name: "a", content: "hello" }]);
    for (const blob of [gzipSync(small), small, zstdCompressSync(small)]) {
      const { bytes } = await ingest(blob, { chunkBytes });
      expect(bytes.equals(small)).toBe(true);
    }
  });

  test("keeps nothing that follows the end of the tar, but counts it into the diff ID", async () => {
    const padded = Buffer.concat([tar, Buffer.alloc(200_000), randomBytes(1000)]);
    const spanSize = padded.length;
    for (const blob of [gzipSync(padded), padded, zstdCompressSync(padded)]) {
      const { layer, bytes } = await ingest(blob, { spanSize });
      expect(bytes.equals(tar)).toBe(true);
      expect(layer.diffId).toBe(digestOf(padded));
      expect(layer.uncompressedSize).toBe(tar.length);
    }
  });

  test("keeps what follows the end of the tar up to the last span", async () => {
    const padded = Buffer.concat([tar, randomBytes(400_000)]);
    for (const blob of [gzipSync(padded), padded]) {
      const { layer, bytes, cuts } = await ingest(blob);
      const last = cuts.at(-1) ?? 0;
      expect(last).toBeGreaterThan(tar.length);
      expect(bytes.equals(padded.subarray(0, last))).toBe(true);
      expect(layer.uncompressedSize).toBe(tar.length);
    }
  });

  test("takes a layer without bytes", async () => {
    const { layer, cuts } = await ingest(new Uint8Array(0));
    expect(cuts).toEqual([]);
    expect(layer).toMatchObject({ uncompressedSize: 0, spans: undefined });
  });

  test("takes a layer without spans when no reader could use them", async () => {
    const { layer, bytes } = await ingest(Buffer.concat([gzipSync(""), gzipSync(tar)]));
    expect(bytes.equals(tar)).toBe(true);
    expect(layer.spans).toBeUndefined();
    expect(layer.ztocFault).toContain("non-monotonic");
  });

  test("says unsupported of more spans than can be kept, which it takes without", async () => {
    const empties = Array.from({ length: 1100 }, () => gzipSync(""));
    const blob = Buffer.concat([...empties, gzipSync(tar)]);
    await expect(ingest(blob)).rejects.toMatchObject({ kind: "unsupported" });
    expect((await ingest(blob, { withSpans: false })).bytes.equals(tar)).toBe(true);
  });

  test.each([
    { title: "a gzip cut off", blob: gzipSync(tar).subarray(0, 200_000) },
    { title: "a damaged gzip", blob: damaged(gzipSync(tar)) },
    { title: "a tar cut off", blob: tar.subarray(0, 600_000) },
    { title: "a damaged tar", blob: damaged(tar, 140) },
    { title: "a zstd cut off", blob: zstdCompressSync(tar).subarray(0, 200_000) },
    { title: "noise", blob: randomBytes(5000) },
    { title: "a zstd of noise", blob: zstdCompressSync(randomBytes(5000)) },
  ])("refuses $title", async ({ blob }) => {
    await expect(ingest(blob)).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("refuses more entries than may be listed", async () => {
    const many = await buildTar([{ name: "a".repeat(90), content: "1" }]);
    const limits = { maxBytes: 0 };
    await expect(ingest(Buffer.concat([many, many]), { limits })).resolves.toBeDefined();
    const two = await buildTar(["a", "b"].map((name) => ({ name, content: "1" })));
    await expect(ingest(two, { limits })).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("passes on what the sink throws", async () => {
    const error = new Error("full");
    const sink = {
      append() {
        throw error;
      },
      cut() {},
    };
    for (const { blob } of ENCODINGS) {
      await expect(ingest(blob, { sink })).rejects.toBe(error);
    }
  });
});

const LAYERS = join(import.meta.dirname, "../fixtures/golden/layers");

describe("LayerIngest", () => {
  test.each([
    { title: "GNU sparse files", file: "c-gnutar-sparse-gnu.tar.gz", isSparse: true },
    { title: "pax sparse files, 0.0", file: "c-gnutar-sparse-posix-0.0.tar.gz", isSparse: true },
    { title: "pax sparse files, 0.1", file: "c-gnutar-sparse-posix-0.1.tar.gz", isSparse: true },
    { title: "pax sparse files, 1.0", file: "c-gnutar-sparse-posix-1.0.tar.gz", isSparse: true },
    { title: "contiguous files", file: "c-type-37.tar.gz", isSparse: false },
    { title: "global pax headers", file: "c-pax-global.tar.gz", isSparse: false },
  ])("lists $title, keeps the spans and makes no zTOC", async ({ file, isSparse }) => {
    const { layer } = await ingest(await readFile(join(LAYERS, file)));
    expect(layer.entries.sparse.size > 0).toBe(isSparse);
    expect([...layer.entries.rows()].some(({ type }) => type === "reg")).toBe(true);
    expect(layer.spans).toBeDefined();
    expect(layer.ztocFault).toBeString();
    expect(encodeIngestedZtoc(layer)).toBeUndefined();
  });

  test("lists the entries that the zTOC lists", async () => {
    const blob = gzipSync(tar);
    const { layer } = await ingest(blob);
    const rows = [...layer.entries.rows()].map((row) => ({ ...row, name: Buffer.from(row.name) }));
    const built = encodeIngestedZtoc(layer);
    if (built === undefined) throw new Error("there is no zTOC");
    const decoded = decodeZtoc(bytesOf(built.encoded));
    expect(decoded.files.map(({ name, type }) => [Buffer.from(name), type])).toEqual(
      rows.map(({ name, type }) => [name, type]),
    );
  });
});

function damaged(bytes: Uint8Array, at = bytes.length >> 1): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x55;
  return copy;
}
