import { lstatSync, mkdirSync, readdirSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "../oci/fs-errors.ts";
import { ensureCacheId, readCacheId } from "./cache-id.ts";

/** Memory that looks like a file system, gone with the boot; anybody may write to it. */
export const SHARED_MEMORY = "/dev/shm";

const ROOT_LINK = "root";

/**
 * The directory of a cache's live maps in shared memory, made when it is missing; undefined where
 * there can be none that is ours alone: then each layer keeps its live map beside its data.
 * Others may have planted what we find there: nothing but directories of our own is entered.
 */
export function openLiveDirectory(
  cacheRoot: string,
  sharedMemory = SHARED_MEMORY,
): string | undefined {
  const uid = process.geteuid?.() ?? 0;
  const own = join(sharedMemory, `sociable-${uid}`);
  const directory = join(own, liveName(cacheRoot, ensureCacheId(cacheRoot)));
  if (!ensureOwnDirectory(own, uid) || !ensureOwnDirectory(directory, uid)) return undefined;
  linkToRoot(directory, cacheRoot);
  return directory;
}

/** Removes the live maps of caches that are no more. */
export function sweepLiveDirectories(directory: string): void {
  const own = join(directory, "..");
  for (const name of readdirSync(own)) {
    const path = join(own, name);
    if (isOrphan(path, name)) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * Names a cache by what it is, not by where: bind mounts and renames give the same, copies and what
 * comes in its place do not.
 */
function liveName(cacheRoot: string, id: string): string {
  const { dev, ino } = statSync(cacheRoot, { bigint: true });
  return `${dev.toString(16)}-${BigInt.asUintN(64, ino).toString(16)}-${id}`;
}

function ensureOwnDirectory(path: string, uid: number): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!isErrno(error, "EEXIST")) {
      // Not there, read-only, full, forbidden: no place for us.
      if (isErrno(error, "ENOENT", "ENOTDIR", "EROFS", "ENOSPC", "EDQUOT", "EACCES", "EPERM")) {
        return false;
      }
      throw error;
    }
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() === true && found.uid === uid && (found.mode & 0o077) === 0;
}

function linkToRoot(directory: string, cacheRoot: string): void {
  try {
    symlinkSync(realpathSync(cacheRoot), join(directory, ROOT_LINK));
  } catch (error) {
    // Another process made it; or there is no room: then nobody sweeps it before the boot ends.
    if (!isErrno(error, "EEXIST", "ENOSPC", "EDQUOT")) throw error;
  }
}

function isOrphan(path: string, name: string): boolean {
  try {
    const cacheRoot = readlinkSync(join(path, ROOT_LINK));
    const id = readCacheId(cacheRoot);
    return id === undefined || liveName(cacheRoot, id) !== name;
  } catch (error) {
    // No link: it is being made. No root behind it: it was removed.
    return isErrno(error, "ENOENT", "ENOTDIR") && hasLink(path);
  }
}

function hasLink(path: string): boolean {
  return lstatSync(join(path, ROOT_LINK), { throwIfNoEntry: false }) !== undefined;
}
