import { access, constants, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT_ROOT } from "../../scripts/project.ts";

/** A file of this machine. */
export interface HostFile {
  readonly path: string;
  readonly size: number;
}

/** What a Debian image is made of; the last is there on a machine with little else. */
const DIRECTORIES = [
  "/usr/bin",
  ...["x86_64-linux-gnu", "aarch64-linux-gnu"].map((triplet) => `/usr/lib/${triplet}`),
  "/usr/share",
  "/usr/lib",
  "/usr/local",
  join(PROJECT_ROOT, "node_modules"),
];

/** Directories, links and readable files of this machine, in one order, until their sizes sum up to `bytes`. */
export async function hostFiles(bytes: number, signal: AbortSignal): Promise<readonly HostFile[]> {
  const files = new Map<string, HostFile>();
  let total = 0;
  for (const directory of DIRECTORIES) {
    for await (const file of walk(directory)) {
      signal.throwIfAborted();
      if (total >= bytes) return [...files.values()];
      if (!files.has(file.path)) total += file.size;
      files.set(file.path, file);
    }
  }
  return [...files.values()];
}

async function* walk(directory: string): AsyncGenerator<HostFile> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      yield { path, size: 0 };
      yield* walk(path);
    } else if (entry.isSymbolicLink()) {
      yield { path, size: 0 };
    } else if (entry.isFile() && (await isReadable(path))) {
      yield { path, size: (await lstat(path)).size };
    }
  }
}

async function isReadable(path: string): Promise<boolean> {
  return await access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}
