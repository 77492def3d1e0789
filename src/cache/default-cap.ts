import { statfsSync } from "node:fs";

const GIB = 2 ** 30;

/** What the cache of ad hoc mounts may take: 10 % of the file system, 20 GiB at most. */
export function mountCapOf(fileSystemBytes: number): number {
  return Math.floor(Math.min(0.1 * fileSystemBytes, 20 * GIB));
}

/** mountCapOf() the file system that `path` lies on. */
export function defaultMountCap(path: string): number {
  const { blocks, bsize } = statfsSync(path);
  return mountCapOf(blocks * bsize);
}

/** What the cache of a daemon may take: 80 % of the file system less 10 GiB, 10 % of a small one. */
export function serveCapOf(fileSystemBytes: number): number {
  return Math.floor(Math.max(0.8 * fileSystemBytes - 10 * GIB, 0.1 * fileSystemBytes));
}

/** serveCapOf() the file system that `path` lies on. */
export function defaultServeCap(path: string): number {
  const { blocks, bsize } = statfsSync(path);
  return serveCapOf(blocks * bsize);
}
