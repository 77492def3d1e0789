// Checks form, types, rules and generated documents; runs all of them, then says which failed.
// Usage: npm run check [-- --fuzz SECONDS]   (--fuzz: afterwards fuzz every decoder, so long a test)
import { parseArgs } from "node:util";
import { buildWasm, PROJECT_ROOT, projectPath, run } from "./project.ts";

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    fuzz: { type: "string" },
    // For scripts/test.ts, which runs them with the other tests.
    "no-arch": { type: "boolean", default: false },
  },
});
const fuzzSeconds = values.fuzz === undefined ? undefined : Number(values.fuzz);
if (fuzzSeconds !== undefined && !(Number.isInteger(fuzzSeconds) && fuzzSeconds > 0)) {
  console.error(`check: --fuzz is "${values.fuzz}", want a number of seconds`);
  process.exit(2);
}

interface Check {
  readonly title: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const bun = process.execPath;
const checks: Check[] = [
  {
    title: "format",
    command: [
      bun,
      "fmt",
      "--no-script",
      "--check",
      "--print-width=100",
      ...(await formattedFiles()),
    ],
  },
  { title: "types", command: [bun, "check", "--no-script"] },
  {
    title: "lint",
    command: [
      // The binary itself: its launcher is a Node script that looks for more platforms than we install.
      projectPath(`node_modules/@biomejs/cli-linux-${process.arch}/biome`),
      "lint",
      `--config-path=${projectPath("scripts/lint.json")}`,
      "--max-diagnostics=200",
      "src",
      "test",
      "scripts",
    ],
  },
  { title: "documents", command: [bun, projectPath("scripts/docs.ts"), "--check"] },
];
if (!values["no-arch"]) {
  checks.push({ title: "architecture", command: [bun, "test", "--isolate", "./test/arch"] });
}
if (fuzzSeconds !== undefined) {
  checks.push({
    title: "fuzz",
    command: [bun, "test", "--isolate", "--timeout=0", "./test/fuzz"],
    env: { SOCIABLE_FUZZ_SECONDS: String(fuzzSeconds) },
  });
}

// The types of the sources need the module that is generated from the WebAssembly.
if ((await buildWasm()) !== 0) process.exit(1);
const failed: string[] = [];
for (const { title, command, env } of checks) {
  console.error(`== ${title}`);
  if ((await run(command, env === undefined ? {} : { env })) !== 0) failed.push(title);
}
console.error(failed.length === 0 ? "All checks passed" : `Failed: ${failed.join(", ")}`);
process.exit(failed.length === 0 ? 0 : 1);

/** Our TypeScript; the formatter cannot read AssemblyScript, and Markdown is laid out by hand. */
async function formattedFiles(): Promise<string[]> {
  const files = await Array.fromAsync(
    new Bun.Glob("{src,test,scripts}/**/*.ts").scan(PROJECT_ROOT),
  );
  return files.filter((file) => !/^src\/deflate\/(?:assembly|generated)\//.test(file));
}
