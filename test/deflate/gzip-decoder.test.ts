import { describe, expect, test } from "bun:test";
import { deflateRawSync, deflateSync, gunzipSync, gzipSync } from "node:zlib";
import { GzipDecoder } from "../../src/deflate/gzip-decoder.ts";
import type { InflateEngine } from "../../src/deflate/inflate-engine.ts";
import { WINDOW_BYTES } from "../../src/deflate/inflate-engine.ts";
import { PakoEngine } from "../../src/deflate/pako-engine.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

interface Boundary {
  readonly in: number;
  readonly out: number;
  readonly bits: number;
  readonly window: Buffer;
}

function decode(decoder: GzipDecoder, input: Uint8Array, pieceBytes = input.length) {
  const parts: Buffer[] = [];
  const boundaries: Boundary[] = [];
  const drain = (until: "input" | "end"): void => {
    for (;;) {
      const stop = decoder.run(-1);
      parts.push(Buffer.from(decoder.output));
      if (stop === until) return;
      if (stop !== "boundary") continue;
      const window = Buffer.alloc(WINDOW_BYTES);
      decoder.copyWindow(window);
      boundaries.push({
        in: decoder.totalIn,
        out: decoder.totalOut,
        bits: decoder.bits,
        window,
      });
    }
  };
  // One buffer for all pieces: the decoder may keep nothing of it.
  const piece = Buffer.alloc(Math.max(1, pieceBytes));
  for (let at = 0; at < input.length; at += pieceBytes) {
    const bytes = input.subarray(at, at + pieceBytes);
    piece.set(bytes);
    decoder.push(piece.subarray(0, bytes.length));
    drain("input");
    piece.fill(0xff);
  }
  decoder.endInput();
  drain("end");
  return { bytes: Buffer.concat(parts), boundaries };
}

const plain = sampleBytes(300_000);
const half = 140_000;
const twoMembers = Buffer.concat([
  gzipSync(plain.subarray(0, half)),
  gzipSync(plain.subarray(half)),
]);

/** A header with the fields that `flags` (RFC 1952, FLG) says, the checksum right. */
function header(flags: number, fields: Buffer): Buffer {
  const fixed = Buffer.from([0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255]);
  return Buffer.concat([fixed, fields]);
}

function withHeader(flags: number, fields: Buffer, content: Uint8Array): Buffer {
  return Buffer.concat([header(flags, fields), gzipSync(content).subarray(10)]);
}

describe.each([
  { title: "wasm", make: (): InflateEngine => new WasmEngine() },
  { title: "pako", make: (): InflateEngine => new PakoEngine() },
])("GzipDecoder over $title", ({ make }) => {
  test.each([1, 3, 1000, 65_536])("decodes members that come in pieces of %d bytes", (piece) => {
    const input = piece < 10 ? gzipSync(plain.subarray(0, 5000)) : twoMembers;
    const want = piece < 10 ? plain.subarray(0, 5000) : plain;
    expect(decode(new GzipDecoder(make()), input, piece).bytes.equals(want)).toBe(true);
  });

  test("counts offsets over members and stops at the end of each header", () => {
    const { boundaries } = decode(new GzipDecoder(make()), twoMembers);
    const first = gzipSync(plain.subarray(0, half)).length;
    expect(boundaries[0]).toMatchObject({ in: 10, out: 0, bits: 0 });
    expect(boundaries.find(({ in: start }) => start === first + 10)).toMatchObject({
      out: half,
      bits: 0,
    });
  });

  test("starts at every boundary, in whatever member", () => {
    const engine = make();
    for (const { in: start, out, bits, window } of decode(new GzipDecoder(engine), twoMembers)
      .boundaries) {
      const partialByte = twoMembers[start - 1] ?? 0;
      const decoder = new GzipDecoder(engine, { bits, partialByte, window });
      expect(decode(decoder, twoMembers.subarray(start)).bytes.equals(plain.subarray(out))).toBe(
        true,
      );
    }
  });

  test("keeps the window over a member's border, as zran does", () => {
    const { boundaries } = decode(new GzipDecoder(make()), twoMembers);
    const second = boundaries.find(({ out }) => out === half);
    expect(second?.window.equals(plain.subarray(half - WINDOW_BYTES, half))).toBe(true);
  });

  test("decodes empty members and a member of stored blocks", () => {
    const empty = gzipSync("");
    const stored = gzipSync(plain, { level: 0 });
    const input = Buffer.concat([empty, stored, empty, empty]);
    expect(decode(new GzipDecoder(make()), input).bytes.equals(plain)).toBe(true);
  });

  test("decodes a zlib stream behind a gzip member", () => {
    const input = Buffer.concat([gzipSync("one"), deflateSync("two")]);
    const decoder = new GzipDecoder(make());
    expect(decode(decoder, input).bytes.toString()).toBe("onetwo");
    expect(decoder.goFault).toBeDefined();
  });

  test.each([
    { title: "FEXTRA", flags: 4, fields: Buffer.concat([Buffer.from([3, 0]), Buffer.alloc(3, 1)]) },
    { title: "an empty FEXTRA", flags: 4, fields: Buffer.from([0, 0]) },
    { title: "FNAME", flags: 8, fields: Buffer.from("name\0") },
    { title: "FCOMMENT", flags: 16, fields: Buffer.from("comment\0") },
    { title: "FNAME and FCOMMENT", flags: 24, fields: Buffer.from("n\0c\0") },
    { title: "FTEXT", flags: 1, fields: Buffer.alloc(0) },
    {
      title: "the longest FEXTRA",
      flags: 4,
      fields: Buffer.concat([Buffer.from([255, 255]), Buffer.alloc(65_535)]),
    },
    {
      title: "a name of 100,000 bytes",
      flags: 8,
      fields: Buffer.concat([Buffer.alloc(100_000, 97), Buffer.from([0])]),
    },
  ])("reads a header with $title", ({ flags, fields }) => {
    const input = withHeader(flags, fields, plain.subarray(0, 1000));
    for (const piece of [7, input.length]) {
      const { bytes } = decode(new GzipDecoder(make()), input, piece);
      expect(bytes.equals(gunzipSync(input))).toBe(true);
    }
  });

  test.each([
    { title: "511 bytes", length: 511, fault: false },
    { title: "512 bytes", length: 512, fault: true },
  ])("goFault says whether Go takes a name of $title", ({ length, fault }) => {
    const fields = Buffer.concat([Buffer.alloc(length, 97), Buffer.from([0])]);
    const decoder = new GzipDecoder(make());
    decode(decoder, withHeader(8, fields, plain.subarray(0, 10)));
    expect(decoder.goFault !== undefined).toBe(fault);
  });

  const whole = gzipSync(plain.subarray(0, 2000));
  const changed = (at: number): Buffer => {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ 0x40;
    return bytes;
  };
  test.each([
    { title: "a wrong magic", input: changed(0) },
    { title: "another method", input: changed(2) },
    { title: "reserved flags", input: changed(3) },
    { title: "a wrong CRC-32", input: changed(whole.length - 8) },
    { title: "a wrong size", input: changed(whole.length - 4) },
    {
      title: "a wrong header checksum",
      input: withHeader(2, Buffer.from([1, 2]), plain.subarray(0, 9)),
    },
    { title: "trailing text", input: Buffer.concat([whole, Buffer.from("garbage!")]) },
    { title: "trailing zeros", input: Buffer.concat([whole, Buffer.alloc(512)]) },
    { title: "one trailing byte of a magic", input: Buffer.concat([whole, Buffer.from([0x1f])]) },
    { title: "a raw deflate stream", input: deflateRawSync(plain) },
    {
      title: "a zlib stream with a preset dictionary",
      input: deflateSync("x", { dictionary: Buffer.from("yz") }),
    },
    {
      title: "a damaged zlib checksum",
      input: Buffer.concat([deflateSync("two").subarray(0, -1), Buffer.from([0])]),
    },
    { title: "nothing at all", input: Buffer.alloc(0) },
  ])("throws data-loss for $title", ({ input }) => {
    expect(() => decode(new GzipDecoder(make()), input)).toThrow(
      expect.objectContaining({ kind: "data-loss" }),
    );
  });

  test("throws data-loss wherever the file is cut", () => {
    const engine = make();
    for (let length = 0; length < whole.length; length++) {
      expect(() => decode(new GzipDecoder(engine), whole.subarray(0, length))).toThrow(
        expect.objectContaining({ kind: "data-loss" }),
      );
    }
  });
});
