import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../oci/fs-errors.ts";
import { layersDirectory, treesDirectory } from "./cache-paths.ts";
import { pagesOf } from "./usage-account.ts";

const STAT_BLOCK_BYTES = 512;

/** Pages that all layers and trees of a cache take on disk; what is still being made is not counted. */
export async function countUsage(cacheRoot: string): Promise<number> {
  const layers = layersDirectory(cacheRoot);
  let pages = await pagesIn(treesDirectory(cacheRoot));
  for (const name of await namesIn(layers)) pages += await pagesIn(join(layers, name));
  return pages;
}

/** Pages of the files in a directory; 0 when it is gone. */
export async function pagesIn(directory: string): Promise<number> {
  const names = await namesIn(directory);
  const pages = await Promise.all(names.map((name) => pagesOfFile(join(directory, name))));
  return pages.reduce((sum, count) => sum + count, 0);
}

async function pagesOfFile(path: string): Promise<number> {
  try {
    return pagesOf((await lstat(path)).blocks * STAT_BLOCK_BYTES);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return 0;
    throw error;
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}
