import { expect, test } from "bun:test";
import { projectSources, type SourceFile, sourceFile } from "./project-sources.ts";
import { endOfBracket, lineOf } from "./source-text.ts";

const sources = await projectSources();

/**
 * Errors made in a catch block without the caught one as `cause`, as `file:line`. The linter's rule
 * looks for the cause in the second argument, where built-in errors have it; SociError takes three.
 */
function throwsWithoutCause({ path, code, skeleton }: SourceFile): string[] {
  const found: string[] = [];
  for (const handler of skeleton.matchAll(/\bcatch\s*(?:\([^)]*\)\s*)?\{/g)) {
    const start = handler.index + handler[0].length - 1;
    const end = endOfBracket(skeleton, start);
    for (const thrown of skeleton.slice(start, end).matchAll(/\bthrow\s+new\s+[\w.]+\s*\(/g)) {
      const at = start + thrown.index;
      const open = at + thrown[0].length - 1;
      const isNested = found.includes(`${path}:${lineOf(code, at)}`);
      if (!isNested && !/\bcause\b/.test(skeleton.slice(open, endOfBracket(skeleton, open)))) {
        found.push(`${path}:${lineOf(code, at)}`);
      }
    }
  }
  return found;
}

test("an error thrown in a catch block has the caught one as its cause", () => {
  expect(sources.flatMap(throwsWithoutCause)).toEqual([]);
});

test("the cause check tells a lost cause from a kept one", () => {
  const file = sourceFile(
    "tar/planted.ts",
    [
      "try { f(); } catch (cause) { throw new SociError('data-loss', `no x`, { cause }); }",
      "try { f(); } catch (error) { throw new SociError('data-loss', 'cause', { hint }); }",
      "try { f(); } catch { throw new Error('lost'); }",
      "throw new Error('outside');",
    ].join("\n"),
  );
  expect(throwsWithoutCause(file)).toEqual(["tar/planted.ts:2", "tar/planted.ts:3"]);
});
