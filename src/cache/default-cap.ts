import { statfsSync } from "node:fs";

const GIB = 2 ** 30;

/** What a daemon's cache may take of a file system of that size: 80 % less 10 GiB, where that is something. */
export function serveCapOf(fileSystemBytes: number): number {
  return Math.floor(Math.max(0.8 * fileSystemBytes - 10 * GIB, 0.1 * fileSystemBytes));
}

/** What the cache of ad hoc mounts may take: 10 % of the file system, 20 GiB at most. */
export function mountCapOf(fileSystemBytes: number): number {
  return Math.floor(Math.min(0.1 * fileSystemBytes, 20 * GIB));
}

/** serveCapOf() the file system that `path` lies on. */
export function defaultServeCap(path: string): number {
  return serveCapOf(fileSystemSize(path));
}

/** mountCapOf() the file system that `path` lies on. */
export function defaultMountCap(path: string): number {
  return mountCapOf(fileSystemSize(path));
}

function fileSystemSize(path: string): number {
  const { blocks, bsize } = statfsSync(path);
  return blocks * bsize;
}
