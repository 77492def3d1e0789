import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  CHECKPOINT_BYTES,
  type Checkpoint,
  encodeCheckpoint,
  encodeGzipZinfoHeader,
  GzipZinfo,
} from "../../src/ztoc/gzip-zinfo.ts";

const SIZES = { compressedArchiveSize: 1000, uncompressedArchiveSize: 5000 };
const WINDOW = new Uint8Array(32_768).fill(7);

type Place = Omit<Checkpoint, "window">;

function blob(places: readonly Place[], count = places.length): Uint8Array {
  const records = places.map((place) => {
    const record = new Uint8Array(CHECKPOINT_BYTES);
    encodeCheckpoint(record, place).set(WINDOW);
    return record;
  });
  return new Uint8Array(Buffer.concat([encodeGzipZinfoHeader(count, 4096), ...records]));
}

const THREE = [
  { in: 18, out: 0, bits: 0 },
  { in: 300, out: 1500, bits: 3 },
  { in: 700, out: 3000, bits: 0 },
] as const;

describe("GzipZinfo", () => {
  test("reads version 2: every checkpoint, its window included", () => {
    const zinfo = new GzipZinfo(blob(THREE));
    expect(zinfo).toMatchObject({ maxSpanId: 2, spanSize: 4096 });
    expect([0, 1, 2].map((span) => zinfo.checkpointAt(span))).toEqual(
      THREE.map((place) => ({ ...place, window: WINDOW })),
    );
  });

  test("reads version 1: checkpoint 0 is not stored", () => {
    const bytes = blob(THREE.slice(1), 3);
    const zinfo = new GzipZinfo(bytes);
    expect(zinfo.checkpointAt(0)).toEqual({
      in: 10,
      out: 0,
      bits: 0,
      window: new Uint8Array(32_768),
    });
    expect(zinfo.checkpointAt(2)).toEqual({ ...THREE[2], window: WINDOW });
    expect(zinfo.bytes).toBe(bytes);
  });

  test("gives a byte that two spans share to both", () => {
    const zinfo = new GzipZinfo(blob(THREE));
    expect([0, 1, 2].map((span) => zinfo.rangeOf(span, SIZES))).toEqual([
      { compressedStart: 18, compressedEnd: 300, uncompressedStart: 0, uncompressedEnd: 1500 },
      { compressedStart: 299, compressedEnd: 700, uncompressedStart: 1500, uncompressedEnd: 3000 },
      { compressedStart: 700, compressedEnd: 1000, uncompressedStart: 3000, uncompressedEnd: 5000 },
    ]);
  });

  test("finds spans as a scan from the front does, also where offsets are not in order", () => {
    const offset = fc.nat(50);
    fc.assert(
      fc.property(fc.array(offset, { minLength: 1, maxLength: 8 }), offset, (outs, wanted) => {
        const zinfo = new GzipZinfo(blob(outs.map((out) => ({ in: 10, out, bits: 0 }))));
        const next = outs.findIndex((out, span) => span > 0 && out > wanted);
        expect(zinfo.spanOf(wanted)).toBe(next < 0 ? outs.length - 1 : next - 1);
      }),
    );
  });

  test.each([
    { title: "no checkpoints", bytes: blob([]), maxSpanId: -1 },
    { title: "one checkpoint in version 1", bytes: blob([], 1), maxSpanId: 0 },
  ])("accepts $title", ({ bytes, maxSpanId }) => {
    expect(new GzipZinfo(bytes).maxSpanId).toBe(maxSpanId);
  });

  test.each([
    { title: "nothing", bytes: new Uint8Array(0) },
    { title: "a header that is cut", bytes: new Uint8Array(11) },
    { title: "255 checkpoints in no bytes", bytes: blob([], 255) },
    { title: "2 billion checkpoints", bytes: blob(THREE, 0x7fff_ffff) },
    { title: "a negative count", bytes: blob([], -1) },
    { title: "a byte too few", bytes: blob(THREE).subarray(0, -1) },
    {
      title: "a byte too many",
      bytes: new Uint8Array(Buffer.concat([blob(THREE), WINDOW.slice(0, 1)])),
    },
    { title: "8 bits", bytes: blob([{ in: 18, out: 0, bits: 8 }]) },
  ])("refuses $title", ({ bytes }) => {
    expect(() => new GzipZinfo(bytes)).toThrow(expect.objectContaining({ kind: "data-loss" }));
  });

  test.each([12, 20])("refuses a negative offset at byte %p", (at) => {
    const bytes = blob(THREE);
    bytes.fill(0xff, at, at + 8);
    expect(() => new GzipZinfo(bytes)).toThrow(expect.objectContaining({ kind: "data-loss" }));
  });

  test.each([-1, 3, 0.5, Number.NaN])("has no span %p of three", (span) => {
    const zinfo = new GzipZinfo(blob(THREE));
    expect(() => zinfo.rangeOf(span, SIZES)).toThrow(
      expect.objectContaining({ kind: "invalid-argument" }),
    );
    expect(() => zinfo.checkpointAt(span)).toThrow(
      expect.objectContaining({ kind: "invalid-argument" }),
    );
  });
});

describe("encodeCheckpoint()", () => {
  test("refuses a record of another length", () => {
    const place = { in: 1, out: 2, bits: 3 };
    expect(() => encodeCheckpoint(new Uint8Array(100), place)).toThrow(RangeError);
  });
});
