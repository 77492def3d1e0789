import { realpath, stat } from "node:fs/promises";
import type { HostEntry } from "./demo-files.ts";
import { runProgram } from "./demo-program.ts";

/** What containers of the demo can run, in /bin. */
const PROGRAMS = ["sh", "cat", "ls", "sha256sum"];

/** Those programs of this machine with the libraries that they need, each where it is looked for. */
export async function listPrograms(signal: AbortSignal): Promise<HostEntry[]> {
  const paths = new Map<string, string>();
  for (const program of PROGRAMS) {
    const path = Bun.which(program);
    if (path === null) continue;
    paths.set(`bin/${program}`, path);
    for (const library of await librariesOf(path, signal)) paths.set(library.slice(1), library);
  }
  return await Promise.all(
    [...paths].map(async ([name, path]): Promise<HostEntry> => {
      const target = await realpath(path);
      const { size, mtime } = await stat(target);
      return { name, path: target, type: "file", size, mode: 0o755, mtime };
    }),
  );
}

async function librariesOf(program: string, signal: AbortSignal): Promise<readonly string[]> {
  if (Bun.which("ldd") === null) return [];
  // It fails for a program that needs none.
  const { stdout } = await runProgram(["ldd", program], { signal, accept: [1] });
  const lines = Buffer.from(stdout).toString();
  return [...lines.matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? []);
}
