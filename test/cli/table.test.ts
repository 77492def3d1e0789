import { describe, expect, test } from "bun:test";
import { cutToWidth, formatTable } from "../../src/cli/table.ts";

describe("formatTable()", () => {
  test("aligns columns by what a screen shows, and ends no line in spaces", () => {
    const rows = [
      ["NAME", "SIZE", ""],
      ["a\u001b[1mb\u001b[22m", "1", ""],
      ["日本", "1000", "x"],
    ];
    expect(formatTable(rows, { right: [1] })).toBe(
      "NAME  SIZE\na\u001b[1mb\u001b[22m       1\n日本  1000  x\n",
    );
  });

  test("cuts lines at the width, and keeps styles whole", () => {
    expect(formatTable([["ab", "\u001b[33mcdefgh\u001b[39m"]], { maxWidth: 7 })).toBe(
      "ab  \u001b[33mcd…\u001b[39m\n",
    );
  });

  test("has no line for no row", () => {
    expect(formatTable([])).toBe("");
  });
});

describe("cutToWidth()", () => {
  test.each([
    { title: "leaves what fits", text: "abc", width: 3, want: "abc" },
    { title: "ends what does not in an ellipsis", text: "abcd", width: 3, want: "ab…" },
    { title: "does not halve a wide character", text: "日本語", width: 4, want: "日…" },
    { title: "has nothing in no columns", text: "abc", width: 0, want: "" },
  ])("$title", ({ text, width, want }) => {
    expect(cutToWidth(text, width)).toBe(want);
  });
});
