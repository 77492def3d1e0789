import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import type { WaitOptions } from "../async/wait-options.ts";
import { isErrno } from "../oci/fs-errors.ts";
import type { Usage } from "./snapshot.ts";

const BLOCK_BYTES = 512;
const SLASH = Buffer.from("/");
/** How many files are looked at at once. */
const BATCH = 64;

/**
 * The disk space below a directory, itself included: blocks, each inode once, as containerd counts.
 * What goes while it is counted is left out. Names may be any bytes.
 */
export async function diskUsage(directory: string, { signal }: WaitOptions = {}): Promise<Usage> {
  let size = 0;
  let inodes = 0;
  const linked = new Set<string>();
  const count = (stats: Stats): void => {
    if (stats.nlink > 1 && !stats.isDirectory()) {
      const key = `${stats.dev}:${stats.ino}`;
      if (linked.has(key)) return;
      linked.add(key);
    }
    size += stats.blocks * BLOCK_BYTES;
    inodes += 1;
  };
  const root = Buffer.from(directory);
  count(await lstat(directory));
  const pending: Buffer[] = [root];
  for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
    const paths = await childrenOf(parent);
    for (let start = 0; start < paths.length; start += BATCH) {
      signal?.throwIfAborted();
      const batch = paths.slice(start, start + BATCH);
      for (const [at, stats] of (await Promise.all(batch.map(statsOf))).entries()) {
        if (stats === undefined) continue;
        count(stats);
        const path = batch[at];
        if (stats.isDirectory() && path !== undefined) pending.push(path);
      }
    }
  }
  return { size, inodes };
}

async function childrenOf(directory: Buffer): Promise<readonly Buffer[]> {
  try {
    const names = await readdir(directory, { encoding: "buffer" });
    return names.map((name) => Buffer.concat([directory, SLASH, name]));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

async function statsOf(path: Buffer): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
