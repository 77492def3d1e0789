import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { byteSizeFlagText, formatByteSize, parseByteSize } from "../../src/cli/byte-size.ts";

describe("parseByteSize()", () => {
  test.each([
    { title: "plain bytes", text: "4194304", bytes: 4_194_304 },
    { title: "zero", text: "0", bytes: 0 },
    { title: "bytes with their unit", text: "12B", bytes: 12 },
    { title: "a bare prefix as a power of 1024", text: "64k", bytes: 65_536 },
    { title: "KiB", text: "3KiB", bytes: 3072 },
    { title: "MiB", text: "4MiB", bytes: 4_194_304 },
    { title: "a bare G", text: "1G", bytes: 1_073_741_824 },
    { title: "MB as a power of 1000", text: "10MB", bytes: 10_000_000 },
    { title: "a fraction that is whole bytes", text: "1.5G", bytes: 1_610_612_736 },
    { title: "any case", text: "2mIb", bytes: 2_097_152 },
    { title: "the largest", text: "9007199254740991", bytes: Number.MAX_SAFE_INTEGER },
  ])("reads $title", ({ text, bytes }) => {
    expect(parseByteSize(text)).toBe(bytes);
  });

  test.each([
    { title: "nothing", text: "" },
    { title: "a negative number", text: "-1" },
    { title: "a unit alone", text: "MiB" },
    { title: "an unknown unit", text: "4X" },
    { title: "white space inside", text: "4 MiB" },
    { title: "i without a prefix", text: "4iB" },
    { title: "hexadecimal digits", text: "0x10" },
    { title: "an exponent", text: "1e6" },
    { title: "a part of a byte", text: "0.3k" },
    { title: "more than 2^53-1", text: "9007199254740992" },
    { title: "more than 2^53-1 by its unit", text: "9000P" },
    { title: "thousands of digits", text: "1".repeat(5000) },
  ])("refuses $title", ({ text }) => {
    expect(() => parseByteSize(text)).toThrow(
      expect.objectContaining({ kind: "invalid-argument" }),
    );
  });
});

test("byteSizeFlagText() is read back by parseByteSize()", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (bytes) => {
      expect(parseByteSize(byteSizeFlagText(bytes))).toBe(bytes);
    }),
  );
});

test.each([
  { bytes: 0, text: "0 B" },
  { bytes: 1023, text: "1023 B" },
  { bytes: 1024, text: "1.0 KiB" },
  { bytes: 1_048_575, text: "1.0 MiB" },
  { bytes: 4_194_304, text: "4.0 MiB" },
  { bytes: 1_610_612_736, text: "1.5 GiB" },
])("formatByteSize() shows $bytes as $text", ({ bytes, text }) => {
  expect(formatByteSize(bytes)).toBe(text);
});
