import { describe, expect, test } from "bun:test";
import { formatDuration, parseDuration } from "../../src/cli/duration.ts";

describe("parseDuration()", () => {
  test.each([
    { text: "0", ms: 0 },
    { text: "500ms", ms: 500 },
    { text: "30s", ms: 30_000 },
    { text: "1m30s", ms: 90_000 },
    { text: "1.5h", ms: 5_400_000 },
    { text: "7d", ms: 604_800_000 },
  ])("reads $text", ({ text, ms }) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    { title: "a number without a unit", text: "30" },
    { title: "nothing", text: "" },
    { title: "a negative one", text: "-1s" },
    { title: "an unknown unit", text: "3w" },
    { title: "a unit alone", text: "s" },
    { title: "white space", text: "1m 30s" },
    { title: "one beyond 2^53-1 ms", text: "999999999999d" },
  ])("refuses $title", ({ text }) => {
    expect(() => parseDuration(text)).toThrow(
      expect.objectContaining({ kind: "invalid-argument" }),
    );
  });
});

test.each([
  { ms: 0, text: "0s" },
  { ms: 499, text: "0s" },
  { ms: 500, text: "1s" },
  { ms: 59_600, text: "1m0s" },
  { ms: 3_605_000, text: "1h0m5s" },
  { ms: 90_000_000, text: "25h0m0s" },
  { ms: -5000, text: "-5s" },
])("formatDuration() shows $ms ms as $text", ({ ms, text }) => {
  expect(formatDuration(ms)).toBe(text);
});
