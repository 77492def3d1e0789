import { expect, test } from "bun:test";
import fc from "fast-check";
import { type ModTime, ModTimeReader, parseModTime } from "../../src/tree/mod-time.ts";

test.each([
  { title: "UTC", text: "2020-09-13T12:26:40Z", seconds: 1_600_000_000, nanoseconds: 0 },
  { title: "a fraction", text: "1970-01-01T00:00:05.25Z", seconds: 5, nanoseconds: 250_000_000 },
  {
    title: "nanoseconds",
    text: "1970-01-01T00:00:00.000000001Z",
    seconds: 0,
    nanoseconds: 1,
  },
  {
    title: "a zone east",
    text: "2020-09-13T21:26:40+09:00",
    seconds: 1_600_000_000,
    nanoseconds: 0,
  },
  {
    title: "a zone west with minutes",
    text: "2020-09-13T08:56:40-03:30",
    seconds: 1_600_000_000,
    nanoseconds: 0,
  },
  { title: "nothing: 1970", text: "", seconds: 0, nanoseconds: 0 },
  { title: "before 1970: 1970", text: "1969-12-31T23:59:59.5Z", seconds: 0, nanoseconds: 0 },
  { title: "the year 33: 1970", text: "0033-04-03T00:00:00Z", seconds: 0, nanoseconds: 0 },
  { title: "after 2262: 1970", text: "9999-12-31T23:59:59Z", seconds: 0, nanoseconds: 0 },
])("parseModTime(): $title", ({ text, seconds, nanoseconds }) => {
  expect(parseModTime(text)).toEqual({ seconds, nanoseconds });
});

test.each([
  { title: "no zone", text: "2020-09-13T12:26:40" },
  { title: "ten digits of fraction", text: "2020-09-13T12:26:40.0123456789Z" },
  { title: "words", text: "yesterday" },
  { title: "trailing text", text: "2020-09-13T12:26:40Z " },
])("parseModTime() refuses $title", ({ text }) => {
  expect(() => parseModTime(text)).toThrow(expect.objectContaining({ kind: "data-loss" }));
});

test("parseModTime() throws data-loss or gives a time in range for any text", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        expect(parseModTime(text).seconds).toBeGreaterThanOrEqual(0);
      } catch (error) {
        expect(error).toMatchObject({ kind: "data-loss" });
      }
    }),
  );
});

const number = (most: number, digits: number) =>
  fc.nat(most).map((value) => String(value).padStart(digits, "0"));

test("ModTimeReader gives what parseModTime() does for anything like a time", () => {
  const text = fc
    .tuple(
      number(9999, 4),
      number(14, 2),
      number(40, 2),
      number(99, 2),
      number(99, 2),
      number(99, 2),
      fc.constantFrom(
        "Z",
        "Z",
        ".5Z",
        ".123456789Z",
        ".0000000001Z",
        ".Z",
        "+01:00",
        "z",
        "",
        ".1x",
      ),
      fc.option(fc.tuple(fc.nat(30), fc.constantFrom("", "x", "-", "\u00fc", " "))),
    )
    .map(([year, month, day, hours, minutes, seconds, end, change]) => {
      const time = `${year}-${month}-${day}T${hours}:${minutes}:${seconds}${end}`;
      if (change === null) return time;
      const [at, by] = change;
      return time.slice(0, at) + by + time.slice(at + 1);
    });
  const reader = new ModTimeReader();
  const read = (parse: () => ModTime) => {
    try {
      return parse();
    } catch (error) {
      expect(error).toMatchObject({ kind: "data-loss" });
      return "refused";
    }
  };
  fc.assert(
    fc.property(text, fc.nat(3), (time, before) => {
      const bytes = Buffer.from("x".repeat(before) + time);
      expect(read(() => reader.read(bytes, before, bytes.length))).toEqual(
        read(() => parseModTime(time)),
      );
    }),
    { numRuns: 3000 },
  );
});
