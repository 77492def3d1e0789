import { expect, test } from "bun:test";
import fc from "fast-check";
import { compareGoStrings, goJsonString } from "../../src/soci/go-string.ts";

test.each([
  { title: "quotes and backslashes", value: 'a"\\', want: String.raw`"a\"\\"` },
  { title: "short escapes", value: "\b\f\n\r\t", want: String.raw`"\b\f\n\r\t"` },
  { title: "other controls", value: "\u0000\u001f\u007f", want: '"\\u0000\\u001f\u007f"' },
  { title: "what HTML minds", value: "<&>", want: String.raw`"\u003c\u0026\u003e"` },
  { title: "line separators", value: "\u2028\u2029", want: String.raw`"\u2028\u2029"` },
  { title: "text beyond ASCII as it is", value: "é😀\ufffd\ufeff", want: '"é😀\ufffd\ufeff"' },
  { title: "half a surrogate pair as U+FFFD", value: "a\ud800b", want: '"a\ufffdb"' },
])("goJsonString() writes $title", ({ value, want }) => {
  expect(goJsonString(value)).toBe(want);
});

test.each([
  { title: "a stray byte", bytes: [0x61, 0xff, 0x62], want: String.raw`"a\ufffdb"` },
  { title: "each byte of a cut character", bytes: [0xe2, 0x82], want: String.raw`"\ufffd\ufffd"` },
  { title: "an overlong form", bytes: [0xc0, 0x80], want: String.raw`"\ufffd\ufffd"` },
  { title: "a surrogate", bytes: [0xed, 0xa0, 0x80], want: String.raw`"\ufffd\ufffd\ufffd"` },
  {
    title: "beyond U+10FFFF",
    bytes: [0xf4, 0x90, 0x80, 0x80],
    want: String.raw`"\ufffd\ufffd\ufffd\ufffd"`,
  },
  { title: "U+FFFD itself as it is", bytes: [0xef, 0xbf, 0xbd], want: '"\ufffd"' },
  { title: "a BOM as it is", bytes: [0xef, 0xbb, 0xbf, 0x61], want: '"\ufeffa"' },
  { title: "a character of each length", bytes: [...Buffer.from("aé€😀")], want: '"aé€😀"' },
])("goJsonString() of bytes writes $title", ({ bytes, want }) => {
  expect(goJsonString(Uint8Array.from(bytes))).toBe(want);
});

test("goJsonString() is JSON for the same text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(JSON.parse(goJsonString(text))).toBe(text.toWellFormed());
      expect(goJsonString(Buffer.from(text.toWellFormed()))).toBe(goJsonString(text));
    }),
  );
});

test("goJsonString() takes any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const decoded = JSON.parse(goJsonString(bytes));
      expect(decoded.replaceAll("\ufffd", "")).toBe(
        new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes).replaceAll("\ufffd", ""),
      );
    }),
  );
});

test("compareGoStrings() compares UTF-8", () => {
  expect(compareGoStrings("\uff01", "\u{1f600}")).toBe(-1);
});
