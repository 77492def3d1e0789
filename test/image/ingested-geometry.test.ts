import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { MemoryByteLog } from "../../src/bytes/byte-log.ts";
import { geometryOf, wholeGeometry } from "../../src/cache/encode-geometry.ts";
import { LayerGeometry } from "../../src/cache/layer-geometry.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { ingestedGeometry } from "../../src/image/ingested-geometry.ts";
import { type IngestedLayer, LayerIngest } from "../../src/image/layer-ingest.ts";
import { buildTar } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

const SPAN_SIZE = 65_536;
const tar = Buffer.from(
  await buildTar([
    { name: "text", content: sampleBytes(900_000, 5) },
    { name: "noise", content: randomBytes(200_000) },
  ]),
);
const half = tar.length >> 1;

async function ingest(blob: Uint8Array): Promise<IngestedLayer> {
  using taker = new LayerIngest({
    engine: () => new WasmEngine(),
    checkpoints: new MemoryByteLog(),
    spanSize: SPAN_SIZE,
    sink: { append: () => undefined, cut: () => undefined },
  });
  await taker.push(blob);
  return await taker.finish();
}

function joined(chunks: Iterable<Uint8Array>): Buffer {
  const copies: Uint8Array[] = [];
  for (const chunk of chunks) copies.push(chunk.slice());
  return Buffer.concat(copies);
}

describe("ingestedGeometry()", () => {
  test.each([
    { title: "gzip", blob: gzipSync(tar), algorithm: "gzip" },
    { title: "gzip of one level", blob: gzipSync(tar, { level: 1 }), algorithm: "gzip" },
    {
      title: "gzip of several members",
      blob: Buffer.concat([gzipSync(tar.subarray(0, half)), gzipSync(tar.subarray(half))]),
      algorithm: "gzip",
    },
    {
      title: "gzip with much behind the tar",
      blob: gzipSync(Buffer.concat([tar, randomBytes(300_000)])),
      algorithm: "gzip",
    },
    { title: "plain tar", blob: tar, algorithm: "uncompressed" },
    {
      title: "plain tar with much behind it",
      blob: Buffer.concat([tar, Buffer.alloc(200_000)]),
      algorithm: "uncompressed",
    },
  ] as const)("is that of the zTOC for $title", async ({ blob, algorithm }) => {
    const { ztoc } = await ztocOf(blob, { algorithm, spanSize: SPAN_SIZE });
    const want = joined(geometryOf(ztoc));
    expect(joined(ingestedGeometry(await ingest(blob))).equals(want)).toBe(true);
    expect(LayerGeometry.decode(want).spanCount).toBe(ztoc.maxSpanId + 1);
  });

  test("is of equal spans where none can be entered", async () => {
    const blob = zstdCompressSync(tar);
    const sizes = { compressedSize: blob.length, uncompressedSize: tar.length };
    const got = joined(ingestedGeometry(await ingest(blob)));
    expect(got.equals(joined(wholeGeometry(sizes)))).toBe(true);
  });
});
