import { describe, expect, test } from "bun:test";
import { formatTabTable } from "../../src/soci/tab-table.ts";

describe("formatTabTable()", () => {
  test("pads a header alone as the Go tool does", () => {
    expect(formatTabTable([["DIGEST", "SIZE", "LAYER DIGEST"]])).toBe(
      "DIGEST    SIZE    LAYER DIGEST    \n",
    );
  });

  test("makes no column narrower than 8", () => {
    expect(formatTabTable([["A", "B"]])).toBe("A       B       \n");
  });

  test("aligns columns to their widest cell, four spaces apart, the last one padded too", () => {
    expect(
      formatTabTable([
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
      formatTabTable([
        ["äöü😀", "x"],
        ["12345678", "y"],
      ]),
    ).toBe("äöü😀        x       \n12345678    y       \n");
  });

  test("of no rows is empty", () => {
    expect(formatTabTable([])).toBe("");
  });
});
