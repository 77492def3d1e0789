import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { outputOf, PROJECT_ROOT, projectPath, run } from "./project.ts";

export interface CompileOptions {
  readonly outfile: string;
  /** Another platform, as `bun-linux-arm64-musl`, and its runtime; this one's by default. */
  readonly platform?: { readonly target: string; readonly runtime: string };
}

/** What Bun bundles: the program, and each thread's code. Relative to the project's root. */
export async function entryPoints(): Promise<readonly string[]> {
  const workers = await Array.fromAsync(new Bun.Glob("src/**/*.worker.ts").scan(PROJECT_ROOT));
  return ["src/main.ts", ...workers.sort()];
}

/** Makes one executable; resolves to the compiler's exit code. The same sources give the same bytes. */
export async function compile({ outfile, platform }: CompileOptions): Promise<number> {
  // Written beside its place and renamed: a running executable cannot be written to. The name of the
  // file goes into the executable: it is always the same.
  const unfinished = `${outfile}.${process.pid}.tmp`;
  await mkdir(unfinished, { recursive: true });
  const made = join(unfinished, "sociable");
  try {
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
      // A command's code is loaded when it is called: 8 MiB less in the memory of `--version`.
      "--splitting",
      "--minify-syntax",
      "--minify-whitespace",
      "--sourcemap=none",
      `--define=SOCIABLE_COMMIT=${JSON.stringify(await commit())}`,
      ...(platform === undefined
        ? []
        : [`--target=${platform.target}`, `--compile-executable-path=${platform.runtime}`]),
      // Relative: paths go into the executable.
      ...(await entryPoints()),
      `--outfile=${made}`,
    ]);
    if (code !== 0) return code;
    await mkdir(dirname(outfile), { recursive: true });
    await rename(made, outfile);
    return 0;
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** The commit this is built from, marked when the sources differ from it. */
export async function commit(): Promise<string> {
  const head = await outputOf(["git", "rev-parse", "--short=12", "HEAD"]);
  if (head === undefined) return "unknown";
  const changes = await outputOf([
    "git",
    "status",
    "--porcelain",
    "--",
    projectPath("src"),
    projectPath("package-lock.json"),
  ]);
  return changes === "" ? head : `${head}-dirty`;
}
