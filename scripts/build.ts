// Makes dist/sociable, one executable for this platform.
// Usage: npm run build [-- --outfile FILE]
import { mkdir, rename } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BINARY, buildWasm, outputOf, PROJECT_ROOT, projectPath, run } from "./project.ts";

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { outfile: { type: "string", default: BINARY } },
});
const outfile = resolve(values.outfile);

if ((await buildWasm()) !== 0) process.exit(1);

const workers = await Array.fromAsync(new Bun.Glob("src/**/*.worker.ts").scan(PROJECT_ROOT));
// Written beside its place and renamed: a running executable cannot be written to.
const unfinished = `${outfile}.${process.pid}.tmp`;
await mkdir(dirname(outfile), { recursive: true });
const code = await run([
  process.execPath,
  "build",
  "--compile",
  // A bunfig.toml (with preload!) or .env of the working directory would run in a root daemon.
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-dotenv",
  // Parsed ahead: threads load their code at every start. Saves a mount a quarter of its CPU time.
  "--bytecode",
  "--format=esm",
  "--minify-syntax",
  "--minify-whitespace",
  "--sourcemap=none",
  `--define=SOCIABLE_COMMIT=${JSON.stringify(await commit())}`,
  projectPath("src/main.ts"),
  ...workers.sort().map((worker) => projectPath(worker)),
  `--outfile=${unfinished}`,
]);
if (code !== 0) process.exit(code);
await rename(unfinished, outfile);

/** The commit this is built from, marked when the sources differ from it. */
async function commit(): Promise<string> {
  const head = await outputOf(["git", "rev-parse", "--short=12", "HEAD"]);
  if (head === undefined) return "unknown";
  const changes = await outputOf([
    "git",
    "status",
    "--porcelain",
    "--",
    "src",
    "package-lock.json",
  ]);
  return changes === "" ? head : `${head}-dirty`;
}
