import { mkdirSync } from "node:fs";
import type { Digest } from "../oci/digest.ts";
import { tryRecordLock } from "../sys/record-lock.ts";
import { closing, ingestLock, openCacheLock } from "./cache-locks.ts";

/**
 * The right to read a layer whole into the cache, among all processes; undefined: somebody else is at
 * it. It ends with the process.
 */
export function tryClaimIngest(cacheRoot: string, digest: Digest): Disposable | undefined {
  mkdirSync(cacheRoot, { recursive: true, mode: 0o700 });
  const fd = openCacheLock(cacheRoot);
  using opened = new DisposableStack();
  const held = opened.use(closing(fd));
  if (!tryRecordLock(fd, ingestLock(digest), "exclusive")) return undefined;
  opened.move();
  return held;
}
