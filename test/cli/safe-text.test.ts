import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { safeBytes, safeText } from "../../src/cli/safe-text.ts";

const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

describe("safeText()", () => {
  test.each([
    { title: "leaves ordinary text", text: "usr/bin/größe 文件", shown: "usr/bin/größe 文件" },
    { title: "shows line breaks and tabs", text: "a\nb\r\tc", shown: "a\\nb\\r\\tc" },
    { title: "shows escape sequences", text: "\u001b[2J", shown: "\\x1b[2J" },
    { title: "shows 8-bit controls", text: "\u009b2J\u007f", shown: "\\x9b2J\\x7f" },
    { title: "shows bidirectional controls", text: "a\u202ecod.exe", shown: "a\\u202ecod.exe" },
    { title: "shows lone surrogates", text: "a\ud800b", shown: "a\\ud800b" },
  ])("$title", ({ text, shown }) => {
    expect(safeText(text)).toBe(shown);
  });

  test("never lets a control through", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(safeText(text)).not.toMatch(UNSAFE);
      }),
    );
  });
});

describe("safeBytes()", () => {
  test.each([
    { title: "shows UTF-8 as text", bytes: Buffer.from("größe 😀"), shown: "größe 😀" },
    {
      title: "shows other bytes in hexadecimal",
      bytes: Buffer.from("a\xffb\xe9", "latin1"),
      shown: "a\\xffb\\xe9",
    },
    {
      title: "shows a cut sequence in hexadecimal",
      bytes: Buffer.from([0x61, 0xe2, 0x82]),
      shown: "a\\xe2\\x82",
    },
    {
      title: "shows an overlong slash in hexadecimal",
      bytes: Buffer.from([0xc0, 0xaf]),
      shown: "\\xc0\\xaf",
    },
    {
      title: "shows encoded surrogates in hexadecimal",
      bytes: Buffer.from([0xed, 0xa0, 0x80]),
      shown: "\\xed\\xa0\\x80",
    },
    {
      title: "goes on after a bad sequence",
      bytes: Buffer.from([0xe2, 0x41, 0x0a]),
      shown: "\\xe2A\\n",
    },
  ])("$title", ({ bytes, shown }) => {
    expect(safeBytes(bytes)).toBe(shown);
  });

  test("says of valid UTF-8 what safeText() says", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(safeBytes(Buffer.from(text))).toBe(safeText(text));
      }),
    );
  });

  test("shows any bytes without a control", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(safeBytes(bytes)).not.toMatch(UNSAFE);
      }),
    );
  });
});
