import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parse } from "smol-toml";
import { isKind } from "../../src/errors.ts";
import { editToml, type TomlEdit, undoToml } from "../../src/install/edit-toml.ts";
import { decodeManifest, encodeManifest } from "../../src/install/install-manifest.ts";
import { unifiedDiff } from "../../src/install/unified-diff.ts";

const file = "config.toml";

const tomlText = fc
  .array(
    fc.constantFrom(
      "",
      "# [a.b] is no table",
      "text = '''\n[a.b]\nkey = 1\n'''",
      "list = [ # many\n  1,\n]",
      'quoted."a.b" = "#" # after',
      "inline = { x = 1 }",
      "[other] # head",
      "  deep.er = true",
      "[a]",
      "[a.b]",
      "  key = 1 # one",
      "[[list.of]]",
      "[[entries.of]]",
    ),
    { maxLength: 12 },
  )
  .map((lines) => lines.map((line) => `${line}\n`).join(""))
  .filter((text) => {
    try {
      parse(text);
      return true;
    } catch {
      return false;
    }
  });

const edits: readonly TomlEdit[] = [
  { kind: "set", table: ["a", "b"], key: "key", value: '"new"' },
  { kind: "set", table: ["a", "b"], key: "other", value: "true" },
  { kind: "set", table: [], key: "version", value: "2" },
  { kind: "append", table: ["entries", "of"], values: { name: '"x"' } },
];

describe("editToml()", () => {
  test("changes nothing but what it is told, can be repeated, and taken back", () => {
    fc.assert(
      fc.property(tomlText, fc.subarray([...edits]), (text, some) => {
        const { text: edited, undo } = editToml(text, some, { file });
        const kept = text.split("\n").filter((line) => line.includes("#") && !line.includes("one"));
        expect(edited.split("\n")).toEqual(expect.arrayContaining(kept));
        expect(editToml(edited, some, { file }).undo).toEqual([]);
        const back = undoToml(edited, undo, { file });
        expect(JSON.stringify(parse(back))).toBe(JSON.stringify(parse(text)));
      }),
    );
  });

  test("answers any text with a result or a SociError", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), (text) => {
        try {
          parse(editToml(text, edits, { file }).text);
        } catch (error) {
          expect(isKind(error, "failed-precondition")).toBe(true);
        }
      }),
    );
  });
});

describe("unifiedDiff()", () => {
  const lines = fc.array(fc.constantFrom("a", "b", "c", "", "d e"), { maxLength: 60 });

  test("holds the way from one text to the other", () => {
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const text = (all: readonly string[]) => all.map((line) => `${line}\n`).join("");
        const diff = unifiedDiff(text(before), text(after), { from: "a", to: "b" });
        expect(patched(before, diff)).toEqual(after);
      }),
    );
  });
});

/** What patch(1) makes of it; throws where a hunk does not fit. */
function patched(before: readonly string[], diff: string): readonly string[] {
  const result: string[] = [];
  let at = 0;
  for (const line of diff.split("\n").slice(2, -1)) {
    const hunk = /^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@$/.exec(line);
    if (hunk !== null) {
      const start = Number(hunk[1]) - (hunk[2] === "0" ? 0 : 1);
      result.push(...before.slice(at, start));
      at = start;
      continue;
    }
    if (line[0] !== "+") {
      if (before[at] !== line.slice(1)) throw new Error(`line ${at} is not "${line.slice(1)}"`);
      at += 1;
    }
    if (line[0] !== "-") result.push(line.slice(1));
  }
  return [...result, ...before.slice(at)];
}

describe("decodeManifest()", () => {
  const bytes = encodeManifest({
    files: [
      { kind: "created", path: "/etc/a", sha256: "00" },
      { kind: "link", path: "/usr/local/bin/soci", target: "sociable" },
      {
        kind: "program",
        path: "/usr/local/bin/sociable",
        sha256: "00",
        before: "/usr/local/bin/b",
      },
      {
        kind: "edited",
        path: "/etc/b",
        sha256: "00",
        before: "x = 1\n",
        isNew: true,
        undo: edits.map((edit) => ({ edit, previous: "1", madeTable: true as const })),
      },
    ],
    directories: ["/etc/sociable"],
  });

  test("reads what encodeManifest() wrote", () => {
    expect(encodeManifest(decodeManifest(bytes))).toEqual(bytes);
  });

  test("answers any damage with a result or a SociError", () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const damaged = Uint8Array.from(bytes);
        damaged[at] = value;
        try {
          decodeManifest(damaged);
        } catch (error) {
          expect(isKind(error, "data-loss", "unsupported")).toBe(true);
        }
      }),
    );
    for (let length = 0; length < bytes.length - 1; length += 1) {
      expect(() => decodeManifest(bytes.subarray(0, length))).toThrow();
    }
  });

  test.each([
    { title: "a path that climbs", path: "/etc/../../x" },
    { title: "a relative path", path: "etc/x" },
  ])("refuses $title", ({ path }) => {
    const list = encodeManifest({
      files: [{ kind: "created", path, sha256: "" }],
      directories: [],
    });
    expect(() => decodeManifest(list)).toThrow(expect.objectContaining({ kind: "data-loss" }));
  });
});
