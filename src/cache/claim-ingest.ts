import { closeSync, constants, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { type Digest, hexOf } from "../oci/digest.ts";
import { tryRecordLock } from "../sys/record-lock.ts";

const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;

/**
 * The right to read a layer whole into the cache, among all processes; undefined: somebody else is at
 * it. It ends with the process.
 */
export function tryClaimIngest(cacheRoot: string, digest: Digest): Disposable | undefined {
  mkdirSync(cacheRoot, { recursive: true, mode: 0o700 });
  const fd = openSync(join(cacheRoot, "ingest.lock"), O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  let isOpen = true;
  const close = (): void => {
    if (isOpen) closeSync(fd);
    isOpen = false;
  };
  try {
    // One byte of one file for each digest: nothing is left to be removed.
    const start = Number.parseInt(hexOf(digest).slice(0, 12), 16);
    if (tryRecordLock(fd, { start, end: start + 1 }, "exclusive")) {
      return { [Symbol.dispose]: close };
    }
  } catch (error) {
    close();
    throw error;
  }
  close();
  return undefined;
}
