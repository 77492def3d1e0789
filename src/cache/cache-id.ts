import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "../oci/fs-errors.ts";

const FILE = "id";
const FORM = /^[0-9a-f]{16}$/;

/** What a cache was named when it was made; undefined when there is none, or it has no name. */
export function readCacheId(cacheRoot: string): string | undefined {
  try {
    const text = readFileSync(join(cacheRoot, FILE), "latin1").trim();
    return FORM.test(text) ? text : undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/**
 * The name of a cache, given to it at its first opening. Inode numbers are used again: what is kept of a
 * cache elsewhere must not be taken for that of one which came after it.
 */
export function ensureCacheId(cacheRoot: string): string {
  for (;;) {
    const known = readCacheId(cacheRoot);
    if (known !== undefined) return known;
    const path = join(cacheRoot, FILE);
    const unfinished = `${path}.${randomBytes(8).toString("hex")}`;
    try {
      writeFileSync(unfinished, randomBytes(8).toString("hex"), { mode: 0o600, flag: "wx" });
      linkSync(unfinished, path);
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
      // Another process was first; or what is there is damaged.
      if (readCacheId(cacheRoot) === undefined) rmSync(path, { force: true });
    } finally {
      rmSync(unfinished, { force: true });
    }
  }
}
