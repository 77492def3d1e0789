import { readFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { lineOf, sourceText, type SourceText } from "./source-text.ts";

const SRC = join(import.meta.dirname, "../../src");

export interface SourceFile extends SourceText {
  /** From src/ on, as `cli/help.ts`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly ImportOf[];
}

export interface ImportOf {
  /** As written. */
  readonly specifier: string;
  /** For a relative import: the path from src/ on, without `.ts`. */
  readonly target: string | undefined;
  readonly line: number;
}

const IMPORTS = [
  /\b(?:import|export)\b[^;"'`()=]*?\bfrom\s*["']([^"']+)["']/g,
  /\bimport\s*["']([^"']+)["']/g,
  /\b(?:import|require)\s*\(\s*["']([^"']+)["']/g,
];

/** Every source file of the project; AssemblyScript and generated modules are none. */
export async function projectSources(): Promise<readonly SourceFile[]> {
  const paths = await Array.fromAsync(new Bun.Glob("**/*.ts").scan(SRC));
  const ours = paths.filter((path) => !/^deflate\/(?:assembly|generated)\//.test(path)).sort();
  return await Promise.all(
    ours.map(async (path) => sourceFile(path, await readFile(join(SRC, path), "utf8"))),
  );
}

export function sourceFile(path: string, text: string): SourceFile {
  const { code, skeleton } = sourceText(text);
  return { path, text, code, skeleton, imports: importsOf(path, code) };
}

function importsOf(path: string, code: string): ImportOf[] {
  return IMPORTS.flatMap((pattern) =>
    Array.from(code.matchAll(pattern), (match) => {
      const specifier = match[1] ?? "";
      const target = specifier.startsWith(".")
        ? normalize(join(dirname(path), specifier)).replace(/\.ts$/, "")
        : undefined;
      return { specifier, target, line: lineOf(code, match.index) };
    }),
  );
}
