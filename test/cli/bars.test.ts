import { expect, test } from "bun:test";
import { coverageBar, usesUnicode } from "../../src/cli/bars.ts";

test("coverageBar() shows the least of something, and all only for all", () => {
  const shares = [0, 1e-12, 0.1, 0.125, 0.5, 0.99, 1];
  expect(coverageBar(shares, { unicode: true })).toBe(" ▁▁▁▄▇█");
  expect(coverageBar(shares, { unicode: false })).toBe(" ...=#@");
});

test.each([
  { title: "no locale", env: {}, want: true },
  { title: "a UTF-8 locale", env: { LANG: "de_DE.utf8" }, want: true },
  { title: "the C locale", env: { LANG: "C" }, want: false },
  { title: "LC_ALL over LANG", env: { LC_ALL: "POSIX", LANG: "C.UTF-8" }, want: false },
  { title: "an empty LC_ALL", env: { LC_ALL: "", LANG: "C.UTF-8" }, want: true },
])("usesUnicode() with $title", ({ env, want }) => {
  expect(usesUnicode({ env })).toBe(want);
});
