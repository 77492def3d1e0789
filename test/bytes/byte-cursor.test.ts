import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ByteCursor } from "../../src/bytes/byte-cursor.ts";
import { isKind } from "../../src/errors.ts";

const READS = [
  (cursor: ByteCursor) => cursor.u8("value"),
  (cursor: ByteCursor) => cursor.i8("value"),
  (cursor: ByteCursor) => cursor.u16le("value"),
  (cursor: ByteCursor) => cursor.u32le("value"),
  (cursor: ByteCursor) => cursor.i32le("value"),
  (cursor: ByteCursor) => cursor.i64le("value"),
  (cursor: ByteCursor) => cursor.sizeLe("value"),
  (cursor: ByteCursor) => cursor.varint("value"),
  (cursor: ByteCursor) => cursor.bytes(3, "value"),
  (cursor: ByteCursor) => cursor.skip(5, "value"),
] as const;

function outcome(run: () => unknown): "read" | "data-loss" {
  try {
    run();
    return "read";
  } catch (error) {
    if (!isKind(error, "data-loss")) {
      throw error;
    }
    return "data-loss";
  }
}

describe("ByteCursor", () => {
  test("names object, label and place of what is missing", () => {
    const cursor = new ByteCursor(Uint8Array.of(1, 2), "zinfo");
    expect(() => cursor.u32le("count")).toThrow("zinfo: count wants 4 bytes at byte 0 of 2");
  });

  test("refuses bytes after the end", () => {
    const cursor = new ByteCursor(Uint8Array.of(1, 2), "zinfo");
    cursor.u8("first");
    expect(() => cursor.end()).toThrow("1 bytes after the end at byte 1");
  });

  test("refuses a size of 2^53", () => {
    const cursor = new ByteCursor(Uint8Array.of(0, 0, 0, 0, 0, 0, 0x20, 0), "zinfo");
    expect(() => cursor.sizeLe("size")).toThrow("2^53");
  });

  test("refuses a varint of 2^53 and one without an end", () => {
    const big = Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10);
    expect(() => new ByteCursor(big, "row").varint("size")).toThrow("2^53");
    expect(() => new ByteCursor(new Uint8Array(100).fill(0x80), "row").varint("size")).toThrow(
      "2^53",
    );
  });

  test("throws nothing but data-loss, and never reads past the end", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.array(fc.constantFrom(...READS)), (bytes, reads) => {
        const cursor = new ByteCursor(bytes, "test");
        expect(["read", "data-loss"]).toContain(outcome(() => reads.map((read) => read(cursor))));
        expect(cursor.remaining).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
