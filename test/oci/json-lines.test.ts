import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { jsonLines } from "../../src/oci/json-lines.ts";

function lineOf(text: string, keys: readonly string[]): number | undefined {
  const lines = jsonLines(text);
  return "lineOf" in lines ? lines.lineOf(keys) : undefined;
}

function errorLine(text: string): number | undefined {
  const lines = jsonLines(text);
  return "errorLine" in lines ? lines.errorLine : undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("jsonLines()", () => {
  const text = '{\n "a": {\n  "b.c": [1,\n   {"d": "x\\"y"}]\n },\n "e": null}\n';

  test.each([
    { title: "a key", keys: ["e"], line: 6 },
    { title: "a key in an object", keys: ["a", "b.c"], line: 3 },
    { title: "a key in an array", keys: ["a", "b.c", "1", "d"], line: 4 },
    { title: "a key that is not there: its object", keys: ["a", "z"], line: 2 },
    { title: "nothing at all", keys: [], line: 1 },
  ])("finds the line of $title", ({ keys, line }) => {
    expect(lineOf(text, keys)).toBe(line);
  });

  test("takes the last of two equal keys, as JSON.parse does", () => {
    expect(lineOf('{"a":1,\n"a":2}', ["a"])).toBe(2);
  });

  test.each([
    { title: "a missing comma", text: '{"a":1\n"b":2}', line: 2 },
    { title: "a comment", text: '{\n// no\n"a":1}', line: 2 },
    { title: "a trailing comma", text: '{"a":1,\n}', line: 2 },
    { title: "something behind the end", text: "{}\n\n{}", line: 3 },
    { title: "an end too early", text: '{"a":\n', line: 2 },
    { title: "a newline in a string", text: '{"a":"\n"}', line: 1 },
    { title: "nothing", text: "", line: 1 },
  ])("finds the line of $title", ({ text: broken, line }) => {
    expect(errorLine(broken)).toBe(line);
  });

  test("refuses nesting without end", () => {
    expect(errorLine("[".repeat(100_000))).toBe(1);
  });

  test("takes what JSON.parse takes, and nothing else", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json({ maxDepth: 5 }),
          fc.string({
            unit: fc.constantFrom("{", "}", "[", "]", '"', ":", ",", "1", "-", "e", ".", "\\", "n"),
          }),
        ),
        (input) => {
          expect("lineOf" in jsonLines(input)).toBe(isJson(input));
        },
      ),
    );
  });

  test("never fails on mutated JSON", () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.string({ maxLength: 3 }), (json, at, junk) => {
        const cut = at % (json.length + 1);
        const mutated = json.slice(0, cut) + junk + json.slice(cut + 1);
        expect("lineOf" in jsonLines(mutated)).toBe(isJson(mutated));
      }),
    );
  });
});
