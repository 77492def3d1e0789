// Writes src/cli/REFERENCE.md from the commands themselves.
// Usage: npm run docs [-- --check]   (--check: write nothing, fail when the file is stale)
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { renderReference } from "./cli-reference.ts";
import { projectPath } from "./project.ts";
import { commandRegistry } from "../src/cli/registry.ts";

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { check: { type: "boolean", default: false } },
});
const path = projectPath("src/cli/REFERENCE.md");
const text = await renderReference(commandRegistry);
if (!values.check) {
  await writeFile(path, text);
} else if ((await readFile(path, "utf8").catch(() => "")) !== text) {
  console.error("docs: src/cli/REFERENCE.md is stale, run: npm run docs");
  process.exit(1);
}
