import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ByteCursor } from "../../src/bytes/byte-cursor.ts";
import { ByteWriter } from "../../src/bytes/byte-writer.ts";

const size = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

describe("ByteWriter", () => {
  test("writes what ByteCursor reads, growing as it goes", () => {
    const row = fc.record({
      u8: fc.nat(0xff),
      u16: fc.nat(0xffff),
      u32: fc.nat(0xffff_ffff),
      i32: fc.integer(),
      i64: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
      size,
      varint: size,
      bytes: fc.uint8Array({ maxLength: 20 }),
    });
    fc.assert(
      fc.property(fc.array(row), (rows) => {
        const writer = new ByteWriter(1);
        for (const value of rows) {
          writer.u8(value.u8);
          writer.u16le(value.u16);
          writer.u32le(value.u32);
          writer.i32le(value.i32);
          writer.i64le(value.i64);
          writer.sizeLe(value.size);
          writer.varint(value.varint);
          writer.varint(value.bytes.length);
          writer.bytes(value.bytes);
        }
        const cursor = new ByteCursor(writer.view(), "test");
        const read = rows.map(() => ({
          u8: cursor.u8("u8"),
          u16: cursor.u16le("u16"),
          u32: cursor.u32le("u32"),
          i32: cursor.i32le("i32"),
          i64: cursor.i64le("i64"),
          size: cursor.sizeLe("size"),
          varint: cursor.varint("varint"),
          bytes: new Uint8Array(cursor.bytes(cursor.varint("length"), "bytes")),
        }));
        cursor.end();
        expect(read).toEqual(rows);
      }),
    );
  });

  test.each([
    { title: "u8() of 256", write: (writer: ByteWriter) => writer.u8(256) },
    { title: "u8() of a fraction", write: (writer: ByteWriter) => writer.u8(0.5) },
    { title: "u16le() of -1", write: (writer: ByteWriter) => writer.u16le(-1) },
    { title: "u32le() of 2^32", write: (writer: ByteWriter) => writer.u32le(2 ** 32) },
    { title: "i32le() of 2^31", write: (writer: ByteWriter) => writer.i32le(2 ** 31) },
    { title: "i64le() of 2^63", write: (writer: ByteWriter) => writer.i64le(2n ** 63n) },
    { title: "sizeLe() of 2^53", write: (writer: ByteWriter) => writer.sizeLe(2 ** 53) },
    { title: "varint() of -1", write: (writer: ByteWriter) => writer.varint(-1) },
  ])("refuses $title and writes nothing", ({ write }) => {
    const writer = new ByteWriter();
    expect(() => write(writer)).toThrow(RangeError);
    expect(writer.offset).toBe(0);
  });

  test("starts again after reset(), without what take() has copied", () => {
    const writer = new ByteWriter();
    writer.u8(1);
    const taken = writer.take();
    writer.reset();
    writer.u8(2);
    expect([taken, writer.take()]).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
  });
});
