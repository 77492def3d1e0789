import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { geometryOf } from "../../src/cache/encode-geometry.ts";
import { LayerGeometry } from "../../src/cache/layer-geometry.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { SpanFill } from "../../src/fetch/span-fill.ts";
import { GzipZinfo } from "../../src/ztoc/gzip-zinfo.ts";
import { type RigLayer, sampleLayer } from "./scheduler-rig.ts";

const gzip = await sampleLayer({ bytes: 500_000 });
const plain = await sampleLayer({ bytes: 300_000, compression: "none" });
const SPAN = 2;

function open({ layer, ztoc }: RigLayer, span = SPAN) {
  const geometry = LayerGeometry.decode(Buffer.concat([...geometryOf(ztoc)]));
  const written: Buffer[] = [];
  const fill = new SpanFill({
    geometry,
    span,
    window: (of) => {
      const { zinfo } = ztoc;
      if (!(zinfo instanceof GzipZinfo)) throw new Error("no windows");
      return zinfo.checkpointAt(of).window;
    },
    engine: () => new WasmEngine(),
    write: (bytes) => written.push(Buffer.from(bytes)),
  });
  return {
    fill,
    geometry,
    written: () => Buffer.concat(written),
    compressed: layer.bytes.slice(geometry.compressedStart(span), geometry.compressedEnd(span)),
    want: layer.tar.subarray(geometry.uncompressedStart(span), geometry.uncompressedEnd(span)),
  };
}

function finish(fill: SpanFill): void {
  fill.verify();
  while (!fill.isDone) fill.step(10_000);
}

describe("SpanFill", () => {
  test.each([
    { title: "gzip span", layer: gzip },
    { title: "plain tar span", layer: plain },
  ])("writes a $title, however its bytes come", ({ layer }) => {
    const { compressed } = open(layer);
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: compressed.length }), { maxLength: 10 }),
        fc.integer({ min: 1, max: 100_000 }),
        (ends, slice) => {
          const { fill, written, want } = open(layer);
          let from = 0;
          for (const to of [...ends.toSorted((a, b) => a - b), compressed.length]) {
            fill.push(compressed.subarray(from, to));
            while (fill.canStep) fill.step(slice);
            from = to;
          }
          finish(fill);
          expect(written().equals(want)).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("writes every span of a layer, the last one too", () => {
    for (let span = 0; span <= gzip.ztoc.maxSpanId; span++) {
      const { fill, compressed, written, want } = open(gzip, span);
      fill.push(compressed);
      finish(fill);
      expect(written().equals(want)).toBe(true);
    }
  });

  test("is not verified before its last byte has come", () => {
    const { fill, compressed } = open(gzip);
    fill.push(compressed.subarray(0, -1));
    while (fill.canStep) fill.step(1000);
    expect([fill.isVerified, fill.isDone]).toEqual([false, false]);
    expect(() => fill.verify()).toThrow("bytes, want");
  });

  test.each([0, 1, 100, 2000])("refuses a span with byte %d wrong", (at) => {
    const { fill, compressed } = open(gzip);
    compressed[at] = ~(compressed[at] ?? 0);
    fill.push(compressed);
    expect(() => fill.verify()).toThrow("digest is sha256:");
    expect(fill.isVerified).toBe(false);
  });

  test("refuses a span with bytes behind its end", () => {
    const { fill, compressed } = open(gzip);
    fill.push(compressed);
    fill.push(new Uint8Array(1));
    expect(() => fill.verify()).toThrow("bytes, want");
  });

  test("writes no more than the span has, whatever bytes it is given", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 5000 }), (noise) => {
        const { fill, written, want, compressed } = open(gzip);
        fill.push(compressed.subarray(0, 3000));
        fill.push(noise);
        try {
          while (fill.canStep) fill.step(20_000);
        } catch (error) {
          expect(error).toMatchObject({ kind: "data-loss" });
        }
        expect(written().length).toBeLessThanOrEqual(want.length);
        expect(() => fill.verify()).toThrow();
      }),
      { numRuns: 40 },
    );
  });

  test("refuses verified bytes that make less than the span should have", () => {
    const { layer, ztoc } = gzip;
    const { zinfo } = ztoc;
    const last = zinfo.maxSpanId;
    const longer = { ...ztoc, uncompressedArchiveSize: ztoc.uncompressedArchiveSize + 1000 };
    const { fill, compressed } = open({ layer, ztoc: longer }, last);
    fill.push(compressed);
    expect(() => finish(fill)).toThrow("uncompressed bytes, want");
  });
});
