import { readFile, realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { type BuiltLayer, buildLayer, type LayerEntry } from "./image-builder.ts";
import { runProgram } from "./sociable-binary.ts";

/** A shell and what a test has it do. */
const PROGRAMS = ["sh", "cat", "echo", "true", "sleep", "ls", "sha256sum", "rm", "mkdir", "id"];

/**
 * A layer with programs of this machine in /bin and the libraries that they need: with it at the bottom an
 * image's containers can run. `programs` are looked for in PATH.
 */
export async function runnableLayer(programs: readonly string[] = PROGRAMS): Promise<BuiltLayer> {
  return await buildLayer({ entries: await runnableEntries(programs) });
}

/** What makes an image able to run these programs. */
export async function runnableEntries(programs: readonly string[]): Promise<LayerEntry[]> {
  const files = new Map<string, string>();
  for (const name of programs) {
    const found = Bun.which(name);
    if (found === null) throw new Error(`${name} is not installed`);
    files.set(`/bin/${name}`, found);
    for (const library of await librariesOf(found)) files.set(library, library);
  }
  const directories = new Set(["/etc", "/tmp", "/proc", "/sys", "/dev"]);
  for (const path of files.keys()) {
    for (let parent = dirname(path); parent !== "/"; parent = dirname(parent)) {
      directories.add(parent);
    }
  }
  const entries: LayerEntry[] = [...directories].toSorted().map((path) => ({
    name: `${path.slice(1)}/`,
    type: "directory",
    mode: path === "/tmp" ? 0o1777 : 0o755,
  }));
  for (const [path, source] of files) {
    const content = await readFile(await realpath(source));
    entries.push({ name: path.slice(1), mode: 0o755, content });
  }
  return entries;
}

async function librariesOf(program: string): Promise<readonly string[]> {
  const { stdout } = await runProgram(["ldd", program]);
  return [
    ...Buffer.from(stdout)
      .toString()
      .matchAll(/(\/\S+) \(0x/g),
  ].flatMap(([, path]) => path ?? []);
}
