import { beforeAll, describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeWith } from "../support/describe-with.ts";
import { BLOCKS, blocksOf, README } from "../support/readme.ts";
import { buildSociable, runProgram, SOCIABLE } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";

const TOML = BLOCKS.flatMap(({ language, text }) => (language === "toml" ? [text] : []));
const FOR_CONTAINERD = TOML.filter((text) => /^\[+(proxy_plugins|plugins)\./m.test(text));
const FOR_SOCIABLE = TOML.filter((text) => !FOR_CONTAINERD.includes(text));

const ROOT = join(import.meta.dirname, "../..");

/** Command lines of blocks, and those in the text with what follows the program's name. */
function linesOf(document: string): readonly string[] {
  return [
    ...blocksOf(document).flatMap(({ text }) => [
      ...text.matchAll(/^(?:\$ )?(sociable [a-z].*)$/gm),
    ]),
    ...document.matchAll(/`(sociable [a-z][^`]*)`/g),
  ].map(([, line = ""]) => line.replace(/ [<#|].*$/, ""));
}

beforeAll(buildSociable, 120_000);

/** What `--help` says of the command that a line begins with: a command, or a group's. */
async function helpOf(words: readonly string[]): Promise<string> {
  const names = words.slice(1).filter((word) => /^[a-z][a-z-]*$/.test(word));
  for (const path of [names.slice(0, 2), names.slice(0, 1)]) {
    const { code, stdout } = await runProgram([SOCIABLE, ...path, "--help"]);
    const text = Buffer.from(stdout).toString();
    if (code === 0 && text.includes(`(sociable ${path.join(" ")})`)) return text;
  }
  throw new Error(`sociable does not know "${words.join(" ")}"`);
}

describe("documents", () => {
  test.each([
    { document: "README.md", least: 20 },
    { document: "src/ARCHITECTURE.md", least: 4 },
    { document: "scripts/kubernetes/README.md", least: 3 },
  ])(
    "$document names commands and flags that there are",
    async ({ document, least }) => {
      const lines = linesOf(await readFile(join(ROOT, document), "utf8"));
      expect(lines.length).toBeGreaterThanOrEqual(least);
      for (const line of new Set(lines)) {
        const words = line.split(/\s+/);
        const help = await helpOf(words);
        for (const flag of words.filter((word) => word.startsWith("--"))) {
          expect({ line, help }).toMatchObject({
            help: expect.stringContaining(flag.replace(/=.*/, "")),
          });
        }
      }
    },
    120_000,
  );

  test("name scripts, and flags of scripts, that there are", async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
    const named = [...README.matchAll(/npm (?:run )?([a-z]+)(?: -- ([^`\n]*))?/g)];
    expect(new Set(named.map(([, name]) => name))).toEqual(new Set(Object.keys(scripts)));
    for (const [text, name = "", rest = ""] of named) {
      const source = await readFile(join(ROOT, scripts[name].split(" ").at(-1)), "utf8");
      const flags = rest.match(/(?<=--)[a-z-]+/g) ?? [];
      const unknown = flags.filter((flag) => !new RegExp(`^ +"?${flag}"?: \\{`, "m").test(source));
      expect({ text, unknown }).toEqual({ text, unknown: [] });
    }
    const benches = [...README.matchAll(/--only ([a-z,-]+)/g)].flatMap(([, list = ""]) =>
      list.split(","),
    );
    const sources = await Promise.all(
      [...new Bun.Glob("test/bench/*-bench.ts").scanSync(ROOT)].map((path) =>
        readFile(join(ROOT, path), "utf8"),
      ),
    );
    const known = sources.flatMap((source) => source.match(/(?<= name: ")[a-z-]+(?=")/g) ?? []);
    expect(benches.filter((name) => !known.includes(name))).toEqual([]);
  });
});

describe("README.md", () => {
  test("shows settings of sociable that it takes without a warning", async () => {
    await using dir = await tempDir();
    const file = dir.join("config.toml");
    expect(FOR_SOCIABLE).not.toEqual([]);
    await writeFile(file, FOR_SOCIABLE.join("\n"));
    const { code, stdout, stderr } = await runProgram([SOCIABLE, "config", "check", file]);
    expect({ code, text: Buffer.from(stdout).toString() + stderr }).toEqual({ code: 0, text: "" });
  });
});

describeWith(["containerd"], "README.md, for containerd", () => {
  test("shows settings that containerd of this machine's version takes", async () => {
    await using dir = await tempDir();
    const file = dir.join("config.toml");
    const { stdout: said } = await runProgram(["containerd", "--version"]);
    const other = / v?1\./.test(Buffer.from(said).toString()) ? "version = 3" : "version = 2";
    const fitting = FOR_CONTAINERD.filter((text) => !text.includes(other));
    expect(fitting).toHaveLength(2);
    // A version comes first.
    const text = fitting.toSorted(
      (a, b) => Number(b.includes("version")) - Number(a.includes("version")),
    );
    await writeFile(file, text.join("\n"));
    const { code, stdout } = await runProgram(["containerd", "--config", file, "config", "dump"]);
    expect(code).toBe(0);
    const dump = Buffer.from(stdout).toString();
    expect(dump).toMatch(/\[proxy_plugins\.("?)sociable\1\]/);
    expect(dump).toMatch(/^ *snapshotter = ["']sociable["']$/m);
    expect(dump).toMatch(/^ *disable_snapshot_annotations = false$/m);
  });
});
