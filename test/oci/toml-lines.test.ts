import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { tomlLine } from "../../src/oci/toml-lines.ts";

const TEXT = `# a comment
server = "https://a"
capabilities = [
  "pull",
]

[host."https://mirror.example:5000"] # the first
  ca = "x"
  [host."https://mirror.example:5000".header]
    x-token = "y"
[host.'plain']
  "skip_verify" = true
  header.name = "z"
`;

describe("tomlLine()", () => {
  test.each([
    { keys: ["server"], line: 2 },
    { keys: ["capabilities"], line: 3 },
    { keys: ["host", "https://mirror.example:5000"], line: 7 },
    { keys: ["host", "https://mirror.example:5000", "ca"], line: 8 },
    { keys: ["host", "https://mirror.example:5000", "header", "x-token"], line: 10 },
    { keys: ["host", "plain", "skip_verify"], line: 12 },
    { keys: ["host", "plain", "header", "name"], line: 13 },
    { keys: ["host", "plain", "client"], line: 11 },
    { keys: ["nothing"], line: 1 },
    { keys: [], line: 1 },
  ])("finds $keys on line $line", ({ keys, line }) => {
    expect(tomlLine(TEXT, keys)).toBe(line);
  });

  test("gives a line of the text, whatever the text", () => {
    const unit = fc.constantFrom("[", "]", '"', "'", "\\", ".", "=", "\n", "a", " ");
    fc.assert(
      fc.property(fc.string({ unit }), fc.array(fc.string()), (text, keys) => {
        const line = tomlLine(text, keys);
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(text.split("\n").length);
      }),
    );
  });
});
