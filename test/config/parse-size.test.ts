import { describe, expect, test } from "bun:test";
import { parseSize } from "../../src/config/parse-size.ts";

describe("parseSize()", () => {
  test.each([
    { text: "", want: 0 },
    { text: "0", want: 0 },
    { text: "1b", want: 1 },
    { text: "8mb", want: 8 * 1024 ** 2 },
    { text: "1.5 GB", want: 1.5 * 1024 ** 3 },
    { text: "2KiB", want: 2048 },
    { text: "1tb", want: 1024 ** 4 },
  ])('reads "$text"', ({ text, want }) => {
    expect(parseSize(text)).toBe(want);
  });

  test.each(["8", "8x", "-1mb", "1e3mb", "mb", "1.mb", "9999999999999999tb", "1mb2"])(
    'takes "%s" for no size',
    (text) => {
      expect(parseSize(text)).toBeUndefined();
    },
  );
});
