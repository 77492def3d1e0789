import { access, constants, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT_ROOT } from "../../scripts/project.ts";

/** A file of this machine. */
export interface HostFile {
  readonly path: string;
  readonly size: number;
  readonly inode: string;
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

/**
 * Directories, links and readable files of this machine, in one order, until their sizes sum up to
 * `bytes`. A file of several names comes once: tar would not store it twice.
 */
export async function hostFiles(bytes: number, signal: AbortSignal): Promise<readonly HostFile[]> {
  const files = new Map<string, HostFile>();
  const inodes = new Set<string>();
  let total = 0;
  for (const directory of DIRECTORIES) {
    for await (const file of walk(directory)) {
      signal.throwIfAborted();
      if (total >= bytes) return [...files.values()];
      if (files.has(file.path) || inodes.has(file.inode)) continue;
      files.set(file.path, file);
      inodes.add(file.inode);
      total += file.size;
    }
  }
  return [...files.values()];
}

async function* walk(directory: string): AsyncGenerator<HostFile> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    const isWanted =
      entry.isDirectory() || entry.isSymbolicLink() || (entry.isFile() && (await isReadable(path)));
    if (!isWanted) continue;
    const { dev, ino, size } = await lstat(path);
    yield { path, size: entry.isFile() ? size : 0, inode: `${dev}:${ino}` };
    if (entry.isDirectory()) yield* walk(path);
  }
}

async function isReadable(path: string): Promise<boolean> {
  return await access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}
