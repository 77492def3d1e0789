import { describe, expect, test } from "bun:test";
import { projectSources, type SourceFile, sourceFile } from "./project-sources.ts";
import { lineOf } from "./source-text.ts";

interface SpecialName {
  readonly title: string;
  readonly pattern: RegExp;
  /** Files, or folders with a slash at the end, from src/ on. */
  readonly allowedIn: readonly string[];
}

const NO_IO = ["ztoc/", "deflate/", "tar/", "tree/"];

const SPECIAL_NAMES: readonly SpecialName[] = [
  { title: "bun:ffi", pattern: /["']bun:ffi["']/g, allowedIn: ["sys/libc.ts"] },
  {
    title: "bun:sqlite",
    pattern: /["']bun:sqlite["']/g,
    allowedIn: ["soci/artifact-database.ts", "snapshotter/metastore.ts"],
  },
  { title: "new Worker(", pattern: /\bnew\s+Worker\s*\(/g, allowedIn: ["workers.ts"] },
  { title: "process.exit(", pattern: /\bprocess\s*\.\s*exit\s*\(/g, allowedIn: ["main.ts"] },
  {
    title: "process.argv",
    pattern: /\bprocess\s*\.\s*argv|\bBun\s*\.\s*argv/g,
    allowedIn: ["main.ts", "cli/", "config/"],
  },
  {
    title: "process.env",
    pattern: /\bprocess\s*\.\s*env\b|\b(?:Bun|import\.meta)\s*\.\s*env\b/g,
    allowedIn: ["main.ts", "cli/", "config/"],
  },
  { title: "console", pattern: /\bconsole\s*\./g, allowedIn: ["cli/"] },
  {
    // open(2) has other numbers for these on arm64 than on x86-64; node:fs has the machine's own.
    title: "a number for O_DIRECTORY and its like",
    pattern: /\bO_(?:DIRECTORY|NOFOLLOW|DIRECT|LARGEFILE|TMPFILE)\b\s*=\s*\d/g,
    allowedIn: [],
  },
  { title: "citty", pattern: /["']citty["']/g, allowedIn: ["cli/"] },
];

const IO =
  /["'](?:node:)?(?:fs|fs\/promises|net|http|https|http2|child_process|dgram|tls)["']|\bBun\s*\.\s*(?:file|write|spawn|spawnSync|connect|listen|serve|mmap)\b|\bfetch\s*\(/g;

const sources = await projectSources();

function usesOf(files: readonly SourceFile[], { pattern, allowedIn }: SpecialName): string[] {
  return files
    .filter(
      ({ path }) =>
        !allowedIn.some((allowed) =>
          allowed.endsWith("/") ? path.startsWith(allowed) : path === allowed,
        ),
    )
    .flatMap(({ path, code }) =>
      Array.from(code.matchAll(pattern), ({ index }) => `${path}:${lineOf(code, index)}`),
    );
}

describe("names with a place of their own", () => {
  test.each([...SPECIAL_NAMES])("$title stands only where it may", (special) => {
    expect(usesOf(sources, special)).toEqual([]);
  });

  test("are seen in code and not in comments", () => {
    const file = sourceFile(
      "tar/planted.ts",
      '// process.exit(1)\nconst a = /"/;\nprocess.exit(2); /* console.log() */\nconsole.log("x");',
    );
    const seen = SPECIAL_NAMES.flatMap((special) => usesOf([file], special));
    expect(seen).toEqual(["tar/planted.ts:3", "tar/planted.ts:4"]);
  });
});

test("ztoc, deflate, tar and tree do no input or output", () => {
  const pure = sources.filter(({ path }) => NO_IO.some((folder) => path.startsWith(folder)));
  expect(usesOf(pure, { title: "I/O", pattern: IO, allowedIn: [] })).toEqual([]);
});

test("there is no index.ts", () => {
  expect(sources.map(({ path }) => path).filter((path) => /(?:^|\/)index\.ts$/.test(path))).toEqual(
    [],
  );
});
