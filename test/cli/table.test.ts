import { describe, expect, test } from "bun:test";
import { formatTable } from "../../src/cli/table.ts";

describe("formatTable()", () => {
  test("pads a header alone as the Go tool does", () => {
    expect(formatTable([["DIGEST", "SIZE", "LAYER DIGEST"]])).toBe(
      "DIGEST    SIZE    LAYER DIGEST    \n",
    );
  });

  test("makes no column narrower than 8", () => {
    expect(formatTable([["A", "B"]])).toBe("A       B       \n");
  });

  test("aligns columns to their widest cell, four spaces apart, the last one padded too", () => {
    expect(
      formatTable([
        ["DIGEST", "SIZE"],
        ["sha256:0123", "1234567"],
        ["", "5"],
      ]),
    ).toBe(
      [
        "DIGEST         SIZE       ",
        "sha256:0123    1234567    ",
        "               5          ",
        "",
      ].join("\n"),
    );
  });

  test("counts code points, as tabwriter does", () => {
    expect(
      formatTable([
        ["äöü😀", "x"],
        ["12345678", "y"],
      ]),
    ).toBe("äöü😀        x       \n12345678    y       \n");
  });

  test("of no rows is empty", () => {
    expect(formatTable([])).toBe("");
  });
});
