import { beforeAll, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import type { InflateEngine } from "../../src/deflate/inflate-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { isKind } from "../../src/errors.ts";
import { digestOf, hexOf } from "../../src/oci/digest.ts";
import { decodeZtoc } from "../../src/ztoc/decode-ztoc.ts";
import { GzipZinfo } from "../../src/ztoc/gzip-zinfo.ts";
import { extractSpan } from "../../src/ztoc/span-extractor.ts";
import type { Ztoc } from "../../src/ztoc/ztoc.ts";
import { buildTar } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { buildBytes } from "./build.ts";
import { type GoldenExtract, goldenLayer, type GoldenRow, goldenRows } from "./golden.ts";

const ENGINES = [new WasmEngine(), new PakoEngine()].map((engine) => ({
  engine,
  title: engine.name,
}));

let tar = new Uint8Array(0);

beforeAll(async () => {
  const files = [30_000, 0, 513, 120_000].map((size, i) => ({
    name: `file-${i}`,
    content: sampleBytes(size, i + 1),
  }));
  tar = new Uint8Array(await buildTar(files));
});

interface Layer {
  readonly blob: Uint8Array;
  readonly ztoc: Ztoc;
}

/** The tar in gzip members of `memberSize`, of many small blocks. */
function gzipLayer(
  engine: InflateEngine,
  { memberSize, level, spanSize }: Readonly<Record<"memberSize" | "level" | "spanSize", number>>,
): Layer {
  const members: Uint8Array[] = [];
  for (let at = 0; at < tar.length; at += memberSize) {
    members.push(gzipSync(tar.subarray(at, at + memberSize), { level, memLevel: 2 }));
  }
  const blob = new Uint8Array(Buffer.concat(members));
  return { blob, ztoc: decodeZtoc(buildBytes(blob, { engine, spanSize })) };
}

function compressedOf({ ztoc, blob }: Layer, span: number): Uint8Array {
  const { compressedStart, compressedEnd } = ztoc.zinfo.rangeOf(span, ztoc);
  return blob.slice(compressedStart, compressedEnd);
}

function extract(engine: InflateEngine, layer: Layer, span: number): Buffer {
  const chunks = extractSpan(layer.ztoc, span, compressedOf(layer, span), engine);
  return Buffer.concat(Array.from(chunks, (chunk) => chunk.slice()));
}

function kindOf(run: () => unknown): string {
  try {
    run();
    return "no error";
  } catch (error) {
    return isKind(error, "data-loss", "invalid-argument") ? error.kind : String(error);
  }
}

describe.each(ENGINES)("extractSpan() with $title", ({ engine }) => {
  test("gives of every span the bytes of the tar that it stands for", () => {
    fc.assert(
      fc.property(
        fc.record({
          memberSize: fc.integer({ min: 5000, max: 200_000 }),
          level: fc.integer({ min: 0, max: 9 }),
          spanSize: fc.integer({ min: 1, max: 60_000 }),
        }),
        (options) => {
          const layer = gzipLayer(engine, options);
          for (let span = 0; span <= layer.ztoc.maxSpanId; span++) {
            const range = layer.ztoc.zinfo.rangeOf(span, layer.ztoc);
            const want = tar.subarray(range.uncompressedStart, range.uncompressedEnd);
            expect(extract(engine, layer, span).equals(want)).toBe(true);
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test("gives the first bytes before the span is inflated to its end", () => {
    const layer = gzipLayer(engine, { memberSize: tar.length, level: 6, spanSize: 1 << 20 });
    const chunks = extractSpan(layer.ztoc, 0, compressedOf(layer, 0), engine);
    const first = chunks.next().value;
    expect(first?.length ?? 0).toBeLessThan(tar.length);
    expect(Buffer.from(first ?? []).equals(tar.subarray(0, first?.length))).toBe(true);
  });

  test("refuses a span of which one byte is wrong before it gives any byte", () => {
    const layer = gzipLayer(engine, { memberSize: tar.length, level: 6, spanSize: 10_000 });
    const compressed = compressedOf(layer, 1);
    fc.assert(
      fc.property(fc.nat(compressed.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = compressed.slice();
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        const chunks = extractSpan(layer.ztoc, 1, damaged, engine);
        expect(kindOf(() => chunks.next())).toBe("data-loss");
      }),
      { numRuns: 50 },
    );
  });

  test("refuses a span that is cut short, and one with a byte too many", () => {
    const layer = gzipLayer(engine, { memberSize: tar.length, level: 6, spanSize: 10_000 });
    const compressed = compressedOf(layer, 1);
    for (const wrong of [compressed.subarray(1), Buffer.concat([compressed, compressed])]) {
      expect(kindOf(() => extractSpan(layer.ztoc, 1, wrong, engine).next())).toBe("data-loss");
    }
  });

  test("refuses a span past the last one", () => {
    const layer = gzipLayer(engine, { memberSize: tar.length, level: 6, spanSize: 10_000 });
    const past = layer.ztoc.maxSpanId + 1;
    expect(kindOf(() => extractSpan(layer.ztoc, past, tar, engine).next())).toBe(
      "invalid-argument",
    );
  });

  test("gives as many bytes as the span has, or data-loss, whatever its checkpoint says", () => {
    const layer = gzipLayer(engine, { memberSize: 50_000, level: 6, spanSize: 10_000 });
    const zinfo = layer.ztoc.zinfo.bytes;
    fc.assert(
      fc.property(
        fc.integer({ min: 12 + 32_785, max: 12 + 2 * 32_785 - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, flip) => {
          const bytes = zinfo.slice();
          bytes[at] = (bytes[at] ?? 0) ^ flip;
          const got = outcome(() => {
            const ztoc = { ...layer.ztoc, zinfo: new GzipZinfo(bytes) };
            const { compressedStart, compressedEnd, uncompressedStart, uncompressedEnd } =
              ztoc.zinfo.rangeOf(1, ztoc);
            const compressed = layer.blob.slice(compressedStart, compressedEnd);
            // As if the digest were right: that of a damaged zTOC may be anything.
            const spanDigests = ztoc.spanDigests.with(1, digestOf(compressed));
            const chunks = extractSpan({ ...ztoc, spanDigests }, 1, compressed, engine);
            let length = 0;
            for (const chunk of chunks) length += chunk.length;
            return length === Math.max(0, uncompressedEnd - uncompressedStart);
          });
          expect([true, "data-loss"]).toContain(got);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("extractSpan()", () => {
  const engine = new WasmEngine();
  const rows = goldenRows().filter(
    ({ ztocDigest, loadError, spanManagerError, extract: files }) =>
      ztocDigest !== undefined &&
      loadError === undefined &&
      spanManagerError === undefined &&
      files !== undefined,
  );

  test("refuses the last span of a plain tar that is shorter than its zTOC says", () => {
    const bytes = buildBytes(tar, { engine, algorithm: "uncompressed", spanSize: 100_000 });
    const ztoc = { ...decodeZtoc(bytes), uncompressedArchiveSize: tar.length + 1 };
    const last = ztoc.maxSpanId;
    const chunks = extractSpan(ztoc, last, compressedOf({ ztoc, blob: tar }, last), engine);
    expect(kindOf(() => chunks.next())).toBe("data-loss");
  });

  test("gives the files that the reference reads through its zTOCs", () => {
    const counts = { right: 0 };
    const wrong: string[] = [];
    for (const row of rows) {
      const layer = layerOf(row, engine);
      for (const want of row.extract ?? []) {
        // A hard link's row of the reference is of the file it names; its bugs are no target.
        const file = layer.ztoc.files.find(
          ({ name, type }) => type === "reg" && nameOf(want).equals(name),
        );
        if (file === undefined || want.sha256 === undefined || want.differsFromTar) continue;
        const { uncompressedOffset: start, uncompressedSize: size } = file;
        const bytes = readRange(engine, layer, { start, end: start + size });
        if (hexOf(digestOf(bytes)) === want.sha256) counts.right++;
        else wrong.push(`${row.title}: ${want.name}`);
      }
    }
    expect([wrong, counts.right > 1000]).toEqual([[], true]);
  });
});

function layerOf({ file, compression, spanSize }: GoldenRow, engine: InflateEngine): Layer {
  const blob = goldenLayer(file);
  const algorithm = compression === "gzip" ? "gzip" : "uncompressed";
  return { blob, ztoc: decodeZtoc(buildBytes(blob, { engine, spanSize, algorithm })) };
}

function nameOf({ name, nameBase64 }: GoldenExtract): Buffer {
  return nameBase64 === undefined ? Buffer.from(name ?? "") : Buffer.from(nameBase64, "base64");
}

function readRange(
  engine: InflateEngine,
  layer: Layer,
  { start, end }: { readonly start: number; readonly end: number },
): Buffer {
  if (start === end) return Buffer.alloc(0);
  const { zinfo } = layer.ztoc;
  const first = zinfo.spanOf(start);
  const parts: Buffer[] = [];
  for (let span = first; span <= zinfo.spanOf(end - 1); span++) {
    parts.push(extract(engine, layer, span));
  }
  const offset = zinfo.rangeOf(first, layer.ztoc).uncompressedStart;
  return Buffer.concat(parts).subarray(start - offset, end - offset);
}

function outcome(run: () => boolean): boolean | string {
  try {
    return run();
  } catch (error) {
    return isKind(error, "data-loss") ? error.kind : String(error);
  }
}
