import { stat } from "node:fs/promises";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

export const SOCIABLE = join(ROOT, "dist/sociable");

/** What one run of a program printed, and how it ended. */
export interface Finished {
  readonly code: number;
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

let built: Promise<void> | undefined;

/** Makes dist/sociable unless it is newer than everything it is made of; once a process. */
export async function buildSociable(): Promise<void> {
  built ??= buildIfStale();
  await built;
}

async function buildIfStale(): Promise<void> {
  const made = await modifiedAt(SOCIABLE);
  const sources = ["package-lock.json", ...new Bun.Glob("src/**/*.ts").scanSync(ROOT)];
  const newest = await Promise.all(sources.map((source) => modifiedAt(join(ROOT, source))));
  if (made !== undefined && newest.every((time) => time === undefined || time <= made)) return;
  const build = Bun.spawn([process.execPath, join(ROOT, "scripts/build.ts")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const stderr = await new Response(build.stderr).text();
  if ((await build.exited) !== 0) throw new Error(`dist/sociable cannot be built: ${stderr}`);
}

async function modifiedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return undefined;
  }
}

export interface RunOptions {
  /** Beside the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input; nothing when not given. */
  readonly input?: string;
}

/** Runs any program to its end. */
export async function runProgram(
  argv: readonly string[],
  { env = {}, input }: RunOptions = {},
): Promise<Finished> {
  const child = Bun.spawn([...argv], {
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...env },
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).bytes(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** Runs the built binary with its state in `root`. */
export async function sociable(
  root: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const [command = "", ...rest] = argv;
  return await runProgram([SOCIABLE, command, "--root", root, ...rest], options);
}

/** As sociable(), for what must succeed; resolves to its standard output. @throws with what it printed */
export async function sociableOutput(root: string, argv: readonly string[]): Promise<Uint8Array> {
  const { code, stdout, stderr } = await sociable(root, argv);
  if (code !== 0) throw new Error(`sociable ${argv.join(" ")} exited with ${code}: ${stderr}`);
  return stdout;
}

/** As sociableOutput(), for one JSON document. */
export async function sociableJson(root: string, argv: readonly string[]): Promise<unknown> {
  return JSON.parse(Buffer.from(await sociableOutput(root, argv)).toString()) as unknown;
}
