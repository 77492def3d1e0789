import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { type RecordLockKind, type RecordRange, tryRecordLock } from "../sys/record-lock.ts";

const LONGEST_WAIT_MS = 20;

/** Waits for a lock whose holders keep it for moments only; those that die give it up. */
export async function acquireRecordLock(
  fd: number,
  range: RecordRange,
  kind: RecordLockKind,
  { signal }: WaitOptions = {},
): Promise<void> {
  for (let wait = 1; !tryRecordLock(fd, range, kind); wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    await delay(wait * (0.5 + Math.random()), { signal });
  }
}
