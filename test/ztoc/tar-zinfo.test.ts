import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isKind } from "../../src/errors.ts";
import { encodeTarZinfo, TarZinfo } from "../../src/ztoc/tar-zinfo.ts";

const GOLDEN =
  "140000000000000000000a001c0018000c0004000a0000000000a0000000000000004000000000000000000002000000";

describe("encodeTarZinfo()", () => {
  test("gives the golden bytes", () => {
    const bytes = encodeTarZinfo({ spanSize: 4_194_304, size: 10_485_760 });
    expect(Buffer.from(bytes).toString("hex")).toBe(GOLDEN);
  });
});

describe("TarZinfo", () => {
  const zinfo = (spanSize: number, size: number) =>
    new TarZinfo(encodeTarZinfo({ spanSize, size }));

  test.each([
    { title: "a rest", size: 4097, spanSize: 4096, maxSpanId: 1 },
    { title: "an exact multiple", size: 8192, spanSize: 4096, maxSpanId: 1 },
    { title: "an empty tar", size: 0, spanSize: 4096, maxSpanId: -1 },
    { title: "a span larger than the tar", size: 100, spanSize: 2 ** 40, maxSpanId: 0 },
    { title: "no span size", size: 100, spanSize: 0, maxSpanId: -1 },
    { title: "a negative span size", size: 100, spanSize: -1, maxSpanId: -1 },
  ])("counts the spans of $title", ({ size, spanSize, maxSpanId }) => {
    expect(zinfo(spanSize, size)).toMatchObject({ maxSpanId, spanSize });
  });

  test("ends the last span where the archives end", () => {
    const sizes = { compressedArchiveSize: 9000, uncompressedArchiveSize: 8500 };
    expect([1, 2].map((span) => zinfo(4096, 9000).rangeOf(span, sizes))).toEqual([
      {
        compressedStart: 4096,
        compressedEnd: 8192,
        uncompressedStart: 4096,
        uncompressedEnd: 8192,
      },
      {
        compressedStart: 8192,
        compressedEnd: 9000,
        uncompressedStart: 8192,
        uncompressedEnd: 8500,
      },
    ]);
  });

  test("finds the span of an offset", () => {
    expect([0, 4095, 4096, 9000].map((at) => zinfo(4096, 9000).spanOf(at))).toEqual([0, 0, 1, 2]);
  });

  test("has no span past the last", () => {
    const sizes = { compressedArchiveSize: 100, uncompressedArchiveSize: 100 };
    expect(() => zinfo(4096, 100).rangeOf(1, sizes)).toThrow(
      expect.objectContaining({ kind: "invalid-argument" }),
    );
  });

  test("reads or refuses its bytes with any of them changed or cut, as data-loss", () => {
    const bytes = encodeTarZinfo({ spanSize: 4096, size: 10_000 });
    const outcome = (changed: Uint8Array) => {
      try {
        return typeof new TarZinfo(changed).maxSpanId;
      } catch (error) {
        return isKind(error, "data-loss") ? "data-loss" : error;
      }
    };
    fc.assert(
      fc.property(fc.nat(47), fc.nat(255), fc.nat(48), (at, value, length) => {
        const changed = bytes.slice();
        changed[at] = value;
        expect(["number", "data-loss"]).toContain(outcome(changed) as string);
        expect(["number", "data-loss"]).toContain(outcome(bytes.slice(0, length)) as string);
      }),
      { numRuns: 1000 },
    );
  });
});
