import type { Dirent } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";

/** A file, directory or symlink of this machine that goes into a layer. */
export interface HostEntry {
  /** In the image, without a leading `/`. */
  readonly name: string;
  /** On this machine. */
  readonly path: string;
  readonly type: "file" | "directory" | "symlink";
  readonly size: number;
  readonly mode: number;
  readonly mtime: Date;
  /** Of a symlink. */
  readonly linkname?: string;
}

export interface HostTree {
  /** A directory of this machine. */
  readonly path: string;
  /** Where it lies in the image, without a leading `/`. */
  readonly name: string;
  /** Files are taken until they have so many bytes together. */
  readonly maxBytes: number;
  /** Larger files are left out: one alone would be most of the layer. */
  readonly maxFileBytes: number;
  readonly signal: AbortSignal;
}

const READABLE_BY_ALL = 0o004;

/** What a directory holds that everybody may read, in the order of the names, up to a size. */
export async function listHostTree({
  path,
  name,
  maxBytes,
  maxFileBytes,
  signal,
}: HostTree): Promise<HostEntry[]> {
  const entries: HostEntry[] = [];
  let bytes = 0;
  const visit = async (directory: string, prefix: string): Promise<void> => {
    for (const child of await childrenOf(directory)) {
      signal.throwIfAborted();
      const entry = await entryOf(join(directory, child.name), `${prefix}/${child.name}`);
      if (entry === undefined) continue;
      if (entry.size > maxFileBytes || bytes + entry.size > maxBytes) continue;
      entries.push(entry);
      bytes += entry.size;
      if (entry.type === "directory") await visit(entry.path, entry.name);
    }
  };
  await visit(path, name);
  return entries;
}

async function childrenOf(directory: string): Promise<Dirent[]> {
  try {
    const children = await readdir(directory, { withFileTypes: true });
    return children.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    // Not there, or not for us to read: it is not part of the image.
    return [];
  }
}

async function entryOf(path: string, name: string): Promise<HostEntry | undefined> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined) return undefined;
  const common = { name, path, mode: stats.mode & 0o7777, mtime: stats.mtime };
  if (stats.isDirectory()) return { ...common, type: "directory", size: 0 };
  if (stats.isSymbolicLink()) {
    return { ...common, type: "symlink", size: 0, linkname: await readlink(path) };
  }
  if (!stats.isFile() || (stats.mode & READABLE_BY_ALL) === 0) return undefined;
  return { ...common, type: "file", size: stats.size };
}
