import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseDecimal, parseNumeric, parseOctal, parsePaxTime } from "../../src/tar/tar-number.ts";
import { latin1 } from "./tar-blocks.ts";

describe("parseOctal()", () => {
  test.each([
    { title: "digits and a NUL", field: "0000644\0", value: 0o644 },
    { title: "spaces and NULs around", field: " \0 17 \0 ", value: 0o17 },
    { title: "a full field", field: "777777777777", value: 2 ** 36 - 1 },
    { title: "a blank field as 0", field: "\0\0 \0", value: 0 },
    { title: "no bytes after an inner NUL", field: "12\0x9", value: 0o12 },
    { title: "no digit 9", field: "0000649\0", value: undefined },
    { title: "no inner space", field: "1 2\0", value: undefined },
    { title: "no minus", field: "-000001\0", value: undefined },
  ])("takes $title", ({ field, value }) => {
    expect(parseOctal(latin1(field), 0, field.length)).toBe(value as number);
  });
});

describe("parseNumeric()", () => {
  const numeric = (bytes: readonly number[]) =>
    parseNumeric(Uint8Array.from(bytes), 0, bytes.length);

  test("takes positive base-256", () => {
    expect(numeric([0x80, 0, 0, 0, 0x12, 0x34, 0x56, 0x78])).toBe(0x12345678n);
  });

  test("takes negative base-256", () => {
    expect(numeric([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe])).toBe(-2n);
  });

  test("takes the extremes of 64 bits", () => {
    expect(numeric([0x80, 0, 0, 0, 0x7f, ...Array(7).fill(0xff)])).toBe(2n ** 63n - 1n);
    expect(numeric([0xff, 0xff, 0xff, 0xff, 0x80, ...Array(7).fill(0)])).toBe(-(2n ** 63n));
  });

  test("refuses what does not fit 64 bits", () => {
    expect(numeric([0x80, 0, 0, 0, 0x80, ...Array(7).fill(0)])).toBeUndefined();
    expect(numeric([0xbf, ...Array(11).fill(0xff)])).toBeUndefined();
  });

  test("takes any 64-bit number back", () => {
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), (value) => {
        const bytes = Array.from({ length: 12 }, (_, i) =>
          Number((value >> BigInt(88 - 8 * i)) & 0xffn),
        );
        bytes[0] = value < 0n ? 0xff : 0x80;
        expect(numeric(bytes)).toBe(value);
      }),
    );
  });
});

describe("parseDecimal()", () => {
  test.each([
    { title: "takes a sign", input: "+5", value: 5n },
    { title: "takes leading zeros, however many", input: `-${"0".repeat(1000)}12`, value: -12n },
    { title: "takes the least int64", input: "-9223372036854775808", value: -(2n ** 63n) },
    { title: "refuses one more than int64", input: "9223372036854775808", value: undefined },
    { title: "refuses a million digits at once", input: "9".repeat(1_000_000), value: undefined },
    { title: "refuses nothing", input: "", value: undefined },
    { title: "refuses a sign alone", input: "-", value: undefined },
    { title: "refuses a space", input: " 1", value: undefined },
    { title: "refuses an exponent", input: "1e9", value: undefined },
    { title: "refuses an underscore", input: "1_000", value: undefined },
  ])("$title", ({ input, value }) => {
    expect(parseDecimal(latin1(input))).toBe(value as bigint);
  });
});

describe("parsePaxTime()", () => {
  test.each([
    { title: "whole seconds", input: "1600000000", time: [1600000000n, 0] },
    { title: "a dot without digits", input: "1600000000.", time: [1600000000n, 0] },
    { title: "a fraction, filled with zeros", input: "5.05", time: [5n, 50_000_000] },
    { title: "more than nine digits, cut", input: "5.1234567899", time: [5n, 123_456_789] },
    { title: "a plus", input: "+5.5", time: [5n, 500_000_000] },
    { title: "a negative fraction", input: "-1.25", time: [-2n, 750_000_000] },
    { title: "a minus before zero", input: "-0.5", time: [-1n, 500_000_000] },
    {
      title: "the least second, wrapped as Go wraps it",
      input: "-9223372036854775808.5",
      time: [2n ** 63n - 1n, 500_000_000],
    },
  ])("takes $title", ({ input, time: [seconds, nanoseconds] }) => {
    expect(parsePaxTime(latin1(input))).toEqual({
      seconds: seconds as bigint,
      nanoseconds: nanoseconds as number,
    });
  });

  test.each([".5", "-.5", "1e9", " 5", "5.a", "5.1234567890x", ""])("refuses %j", (input) => {
    expect(parsePaxTime(latin1(input))).toBeUndefined();
  });
});
