import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { wrapText } from "../../src/cli/wrap-text.ts";

const OPTION = "  -d, --detach    Serve the mount in the background; return when it can be used";

describe("wrapText()", () => {
  test("puts the rest of a description below its beginning", () => {
    expect(wrapText(OPTION, 50)).toBe(
      "  -d, --detach    Serve the mount in the\n" +
        "                  background; return when it can\n" +
        "                  be used",
    );
  });

  test("keeps the indent of a paragraph", () => {
    expect(wrapText("  one two three", 10)).toBe("  one two\n  three");
  });

  test("leaves what fits as it is", () => {
    expect(wrapText(`${OPTION}\n\nend`, 90)).toBe(`${OPTION}\n\nend`);
  });

  test("breaks a list of commands between them", () => {
    expect(wrapText("USAGE sociable create|convert|push|ls", 24)).toBe(
      "USAGE sociable create|\n      convert|push|ls",
    );
  });

  test("gives up the column where it would be too narrow", () => {
    expect(wrapText(OPTION, 30)).toStartWith("  -d, --detach    Serve the\n    mount in the");
  });

  test("counts no styles, and keeps them", () => {
    const styled = OPTION.replace("--detach", "\u001b[36m--detach\u001b[39m").replace(
      "background",
      "\u001b[1mbackground\u001b[22m",
    );
    const wrapped = wrapText(styled, 50);
    expect(Bun.stripANSI(wrapped)).toBe(wrapText(OPTION, 50));
    expect(wrapped).toContain("\u001b[1mbackground\u001b[22m;");
  });

  test("loses no word, and passes the width by single words only", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z|]{1,12}$/), { maxLength: 20 }),
        fc.integer({ min: 1, max: 60 }),
        (words, width) => {
          const wrapped = wrapText(`  ${words.join(" ")}`, width);
          expect(wrapped.replace(/\s+/g, "")).toBe(words.join(""));
          const wide = wrapped.split("\n").filter((line) => Bun.stringWidth(line) > width);
          expect(wide.filter((line) => /\S\s+\S/.test(line))).toEqual([]);
        },
      ),
    );
  });
});
