import { describe, expect, test } from "bun:test";
import { DirectoryCut } from "../../../src/cli/commands/directory-cut.ts";
import { byteNameOfText, cleanPath } from "../../../src/tree/byte-name.ts";

/** Which part each directory belongs to. */
function partsOf(
  files: Readonly<Record<string, number>>,
  max: number,
): Readonly<Record<string, string>> {
  const cut = new DirectoryCut();
  const pathOf = (directory: string) => cleanPath(byteNameOfText(directory));
  for (const [directory, bytes] of Object.entries(files)) cut.add(pathOf(directory), bytes);
  const parts = cut.parts(max);
  return Object.fromEntries(
    Object.keys(files).map((directory) => [directory, parts(pathOf(directory))]),
  );
}

describe("DirectoryCut", () => {
  test("opens the largest directory, and leaves the small ones whole", () => {
    const files = { "usr/lib/a": 500, "usr/lib/b": 300, "usr/share": 100, "etc/x": 1, "etc/y": 1 };
    expect(partsOf(files, 5)).toEqual({
      "usr/lib/a": "/usr/lib/a",
      "usr/lib/b": "/usr/lib/b",
      "usr/share": "/usr/share",
      "etc/x": "/etc",
      "etc/y": "/etc",
    });
  });

  test("keeps what has no part of its own under a star", () => {
    const files = { "": 10, usr: 50, "usr/a": 500, "usr/b": 400, "usr/c": 1 };
    expect(partsOf(files, 5)).toEqual({
      "": "/*",
      usr: "/usr/*",
      "usr/a": "/usr/a",
      "usr/b": "/usr/b",
      "usr/c": "/usr/*",
    });
  });

  test("takes one part where no more are wanted, or there is nothing", () => {
    expect(partsOf({ a: 1, b: 2 }, 1)).toEqual({ a: "/", b: "/" });
    expect(partsOf({ "": 5 }, 10)).toEqual({ "": "/" });
  });

  test("goes down where a directory has but one child", () => {
    expect(partsOf({ "a/b/c/d": 5 }, 1)).toEqual({ "a/b/c/d": "/a/b/c/d" });
  });

  test.each([1, 2, 3, 7, 20])("makes at most %d parts of many", (max) => {
    const files = Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`d${i % 17}/e${i % 5}/f${i}`, 1 + (i % 13)]),
    );
    expect(new Set(Object.values(partsOf(files, max))).size).toBeLessThanOrEqual(max);
  });

  test("shows names fit for display", () => {
    expect(partsOf({ "a\u001b[2J": 1 }, 1)).toEqual({ "a\u001b[2J": "/a\\x1b[2J" });
  });

  test("takes paths of thousands of names", () => {
    const deep = Array.from({ length: 2000 }, (_, i) => `d${i}`).join("/");
    expect(partsOf({ [deep]: 1 }, 3)).toEqual({ [deep]: `/${deep}` });
  });
});
