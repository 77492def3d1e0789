import { describe, test, expect } from "bun:test";
import fc from "fast-check";
import { stringify } from "smol-toml";
import { checkConfig, defaultConfig, loadConfig } from "../../src/config/config.ts";
import { formatConfig, formatDefaults } from "../../src/config/format-config.ts";
import { keyNotes } from "../../src/config/key-notes.ts";

const OPTIONS = { file: "f", personality: "sociable" } as const;
const PATHS = keyNotes().map(({ path }) => path.map((part) => (part === "*" ? "gzip" : part)));

const leaf = fc.oneof(
  fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
  fc.boolean(),
  fc.string(),
  fc.constantFrom("8mb", "1.5GB", "newest", "unix", "stream", "containerd", "unix:///x"),
  fc.array(fc.string(), { maxLength: 3 }),
  fc.array(fc.record({ host: fc.string(), insecure: fc.boolean() }), { maxLength: 2 }),
  fc.dictionary(fc.string({ minLength: 1 }), fc.integer(), { maxKeys: 2 }),
);

/** A document with some values at keys that there are, of any type. */
function documentOf(pairs: readonly (readonly [readonly string[], unknown])[]): object {
  const document: Record<string, unknown> = {};
  for (const [path, value] of pairs) {
    let table = document;
    for (const part of path.slice(0, -1)) {
      const next = table[part];
      const isTable = typeof next === "object" && next !== null && !Array.isArray(next);
      const inner = isTable ? (next as Record<string, unknown>) : {};
      table[part] = inner;
      table = inner;
    }
    table[path.at(-1) ?? ""] = value;
  }
  return document;
}

describe("checkConfig()", () => {
  test("never throws, whatever the text", () => {
    const defaults = formatDefaults("sociable", { marks: false });
    fc.assert(
      fc.property(fc.nat(defaults.length), fc.nat(20), fc.string(), (at, cut, put) => {
        checkConfig(defaults.slice(0, at) + put + defaults.slice(at + cut), OPTIONS);
      }),
      { numRuns: 500 },
    );
  });

  test("finds a value usable or names its key, and what it has settled is stable", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...PATHS), leaf), { maxLength: 8 }),
        (pairs) => {
          const { config, problems } = checkConfig(stringify(documentOf(pairs)), OPTIONS);
          expect(Object.keys(config)).toEqual(Object.keys(defaultConfig("sociable")));
          if (problems.length > 0) return;
          const again = loadConfig(formatConfig(config, { marks: true }), OPTIONS);
          expect(again.config).toEqual(config);
        },
      ),
      { numRuns: 300 },
    );
  });
});
