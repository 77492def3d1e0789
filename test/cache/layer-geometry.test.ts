import { expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { openSync, closeSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import {
  type GeometryInput,
  geometryChunks,
  geometryOf,
  wholeGeometry,
} from "../../src/cache/encode-geometry.ts";
import { LayerGeometry } from "../../src/cache/layer-geometry.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { GzipZinfo } from "../../src/ztoc/gzip-zinfo.ts";
import type { Ztoc } from "../../src/ztoc/ztoc.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { tempDir } from "../support/temp-dir.ts";
import { concat, END, entry } from "../tar/tar-blocks.ts";
import { buildBytes } from "../ztoc/build.ts";
import { layerSample } from "./samples.ts";

function decode(chunks: Iterable<Uint8Array>): LayerGeometry {
  return LayerGeometry.decode(Buffer.concat([...chunks]));
}

function rangesOf(geometry: LayerGeometry) {
  return Array.from({ length: geometry.spanCount }, (_, span) => ({
    compressedStart: geometry.compressedStart(span),
    compressedEnd: geometry.compressedEnd(span),
    uncompressedStart: geometry.uncompressedStart(span),
    uncompressedEnd: geometry.uncompressedEnd(span),
  }));
}

/** A tar that is padded so far that its last span begins behind its end. */
function paddedZtoc(): Ztoc {
  const tar = concat([entry({ name: "a" }, sampleBytes(40_000)), END, new Uint8Array(200_000)]);
  const blob = Buffer.concat([gzipSync(tar.subarray(0, 100_000)), gzipSync(tar.subarray(100_000))]);
  return decodeZtoc(
    buildBytes(blob, { engine: new WasmEngine(), spanSize: 20_000, algorithm: "gzip" }),
  );
}

test.each([
  { title: "gzip", ztoc: layerSample().ztoc },
  { title: "tar", ztoc: layerSample({ algorithm: "uncompressed" }).ztoc },
])("geometryOf() keeps the ranges of a $title layer as the zinfo has them", ({ ztoc }) => {
  const geometry = decode(geometryOf(ztoc));
  const spans = Array.from({ length: ztoc.maxSpanId + 1 }, (_, span) => span);
  expect(rangesOf(geometry)).toEqual(spans.map((span) => ztoc.zinfo.rangeOf(span, ztoc)));
  expect(spans.map((span) => geometry.digest(span))).toEqual([...ztoc.spanDigests]);
  expect(geometry.dataSize).toBe(ztoc.uncompressedArchiveSize);
  expect(geometry.compressedSize).toBe(ztoc.compressedArchiveSize);
  for (let at = 0; at < geometry.dataSize; at += 997) {
    expect(geometry.spanOf(at)).toBe(ztoc.zinfo.spanOf(at));
  }
});

test("geometryOf() keeps bits and windows of a gzip layer", async () => {
  const { ztoc } = layerSample();
  if (!(ztoc.zinfo instanceof GzipZinfo)) throw new Error("no gzip");
  await using dir = await tempDir();
  const bytes = Buffer.concat([...geometryOf(ztoc)]);
  await writeFile(dir.join("geometry"), bytes);
  const fd = openSync(dir.join("geometry"), "r");
  try {
    const geometry = LayerGeometry.read(fd, bytes.length);
    const window = new Uint8Array(32_768);
    expect(geometry.spanCount).toBeGreaterThan(5);
    for (let span = 0; span < geometry.spanCount; span++) {
      const checkpoint = ztoc.zinfo.checkpointAt(span);
      geometry.readWindow(fd, span, window);
      expect(geometry.bits(span)).toBe(checkpoint.bits);
      expect(Buffer.compare(window, checkpoint.window)).toBe(0);
    }
  } finally {
    closeSync(fd);
  }
});

test("geometryOf() takes a last span behind the end of the tar for empty", () => {
  const ztoc = paddedZtoc();
  const last = ztoc.maxSpanId;
  const { uncompressedStart } = ztoc.zinfo.rangeOf(last, ztoc);
  expect(uncompressedStart).toBeGreaterThan(ztoc.uncompressedArchiveSize);
  const geometry = decode(geometryOf(ztoc));
  expect(geometry.uncompressedLength(last)).toBe(0);
  expect(geometry.dataSize).toBe(uncompressedStart);
  expect(geometry.uncompressedSize).toBe(ztoc.uncompressedArchiveSize);
});

test("wholeGeometry() cuts a layer into spans of 4 MiB, the last one short", () => {
  const geometry = decode(wholeGeometry({ compressedSize: 7, uncompressedSize: (9 << 20) + 1 }));
  expect(geometry.encoding).toBe("whole");
  expect(rangesOf(geometry).map((range) => range.uncompressedEnd)).toEqual([
    4 << 20,
    8 << 20,
    (9 << 20) + 1,
  ]);
  expect(decode(wholeGeometry({ compressedSize: 0, uncompressedSize: 0 })).dataSize).toBe(0);
});

test("a geometry of 10,000 spans is 53 bytes a span in memory, and is shared by buffer", () => {
  const count = 10_000;
  const spans = Array.from({ length: count }, (_, i) => ({
    compressedStart: i * 10,
    uncompressedStart: i * 10,
    bits: 0,
    digest: digestOf(`${i}`),
  }));
  const sizes = { compressedSize: count * 10, uncompressedSize: count * 10 };
  const geometry = decode(geometryChunks({ encoding: "tar", spans, ...sizes }));
  expect(geometry.buffer.byteLength).toBe(64 + 53 * count);
  const other = new LayerGeometry(geometry.buffer);
  expect(other.digest(9999)).toBe(digestOf("9999"));
  expect(other.spanOf(55_555)).toBe(5555);
});

const GOOD: GeometryInput = {
  encoding: "tar",
  compressedSize: 100,
  uncompressedSize: 100,
  spans: [0, 50].map((start) => ({
    compressedStart: start,
    uncompressedStart: start,
    bits: 0,
    digest: digestOf("x"),
  })),
};

function withSpan(change: Partial<GeometryInput["spans"][number]>): GeometryInput {
  const [first, second] = GOOD.spans;
  if (first === undefined || second === undefined) throw new Error("no spans");
  return { ...GOOD, spans: [first, { ...second, ...change }] };
}

test.each([
  { title: "a span before the one before it", input: withSpan({ uncompressedStart: 0 }) },
  { title: "a span that starts nowhere", input: withSpan({ uncompressedStart: Number.NaN }) },
  { title: "a span that starts at half a byte", input: withSpan({ compressedStart: 0.5 }) },
  { title: "a span behind the blob", input: withSpan({ compressedStart: 101 }) },
  { title: "9 bits", input: withSpan({ bits: 9 }) },
  {
    title: "more output than deflate can make",
    input: {
      ...GOOD,
      encoding: "gzip",
      uncompressedSize: 1e6,
      windows: () => [new Uint8Array(32_768), new Uint8Array(32_768)],
    },
  },
  { title: "more output than a plain tar has", input: { ...GOOD, uncompressedSize: 101 } },
  {
    title: "a size that no disk has",
    input: { ...GOOD, encoding: "whole", uncompressedSize: 2 ** 41 },
  },
  { title: "data in no span", input: { ...GOOD, spans: [] } },
] as const satisfies readonly { title: string; input: GeometryInput }[])(
  "LayerGeometry.decode() refuses $title",
  ({ input }) => {
    expect(() => decode(geometryChunks(input))).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  },
);

test("geometryChunks() refuses windows that are too few or of another size", () => {
  const gzip = { ...GOOD, encoding: "gzip" } as const;
  expect(() => decode(geometryChunks(gzip))).toThrow(RangeError);
  const short = { ...gzip, windows: () => [new Uint8Array(1), new Uint8Array(1)] };
  expect(() => decode(geometryChunks(short))).toThrow(RangeError);
});
