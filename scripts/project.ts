import { existsSync } from "node:fs";
import { join } from "node:path";

/** The project's root directory. */
export const PROJECT_ROOT = join(import.meta.dirname, "..");

/** What scripts/build.ts makes. */
export const BINARY = join(PROJECT_ROOT, "dist/sociable");

/** A path relative to the project's root. */
export function projectPath(...parts: readonly string[]): string {
  return join(PROJECT_ROOT, ...parts);
}

/** Runs a command in the project's root, its output passed through; resolves to its exit code. */
export async function run(
  command: readonly string[],
  { env = {} }: { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<number> {
  const child = Bun.spawn([...command], {
    cwd: PROJECT_ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return await child.exited;
}

/** What a command prints, without white space around it; `undefined` when it fails or is missing. */
export async function outputOf(command: readonly string[]): Promise<string | undefined> {
  try {
    const child = Bun.spawn([...command], {
      cwd: PROJECT_ROOT,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const output = await new Response(child.stdout).text();
    return (await child.exited) === 0 ? output.trim() : undefined;
  } catch {
    // Bun.spawn() throws where there is no such program.
    return undefined;
  }
}

/** Makes the WebAssembly that the sources import; a no-op where it is made already. */
export async function buildWasm(): Promise<number> {
  const script = projectPath("scripts/build-wasm.ts");
  return existsSync(script) ? await run([process.execPath, script]) : 0;
}
