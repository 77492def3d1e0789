import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { type Digest, hexOf } from "../oci/digest.ts";
import type { RecordRange } from "../sys/record-lock.ts";

// The bytes of the lock file of a whole cache, below the state root. It stays empty.

const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;

const INGEST_BYTES = 2 ** 48;

/** Held by who reads this layer whole into the cache: one byte a digest, so that nothing is left to remove. */
export function ingestLock(digest: Digest): RecordRange {
  const start = Number.parseInt(hexOf(digest).slice(0, 12), 16);
  return { start, end: start + 1 };
}

/** Held while the account is made. */
export const ACCOUNT_LOCK: RecordRange = { start: INGEST_BYTES, end: INGEST_BYTES + 1 };
/** Held by who counts what is on disk, or makes room. */
export const ROOM_LOCK: RecordRange = { start: INGEST_BYTES + 1, end: INGEST_BYTES + 2 };

const FIRST_SLOT = INGEST_BYTES + 1024;

/** Held by the process that a slot of the account belongs to, as long as it lives. */
export function slotLock(slot: number): RecordRange {
  return { start: FIRST_SLOT + slot, end: FIRST_SLOT + slot + 1 };
}

/** Opens the lock file. Each opening excludes the others, also in one process. */
export function openCacheLock(cacheRoot: string): number {
  return openSync(join(cacheRoot, "lock"), O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
}

/** A descriptor that is closed once. */
export function closing(fd: number): Disposable {
  let isOpen = true;
  return {
    [Symbol.dispose]: () => {
      if (isOpen) closeSync(fd);
      isOpen = false;
    },
  };
}
