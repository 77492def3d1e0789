import { SociError } from "../errors.ts";
import { EACCES, EAGAIN, EINTR, errnoName } from "./errno.ts";
import { sysFcntl } from "./libc.ts";

// Open file description locks, fcntl(2): they belong to one open(2), not to the process, so that two
// descriptors of one process exclude each other too; and the kernel drops them when it dies.
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;

const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;

export type RecordLockKind = "shared" | "exclusive";

/** Bytes [start, end) of a file; they need not exist. */
export interface RecordRange {
  readonly start: number;
  readonly end: number;
}

// struct flock on 64-bit Linux: short l_type, short l_whence, 4 of padding, l_start, l_len, int l_pid.
const FLOCK_BYTES = 32;
const flock = new Uint8Array(FLOCK_BYTES);
const fields = new DataView(flock.buffer);

/**
 * Locks the range, or changes a lock that this open file holds there; whether it could. Never waits.
 * `fd` must be open for writing for an exclusive lock. @throws failed-precondition where the file
 * system has no locks
 */
export function tryRecordLock(fd: number, range: RecordRange, kind: RecordLockKind): boolean {
  const result = call(fd, F_OFD_SETLK, range, kind === "shared" ? F_RDLCK : F_WRLCK);
  if (result === -EAGAIN || result === -EACCES) return false;
  check(result, "lock");
  return true;
}

/** Gives up what this open file holds in the range. */
export function recordUnlock(fd: number, range: RecordRange): void {
  check(call(fd, F_OFD_SETLK, range, F_UNLCK), "unlock");
}

/** Whether somebody else holds a lock in the range, of either kind. */
export function isRecordLocked(fd: number, range: RecordRange): boolean {
  check(call(fd, F_OFD_GETLK, range, F_WRLCK), "look at");
  return fields.getInt16(0, true) !== F_UNLCK;
}

function call(fd: number, command: number, { start, end }: RecordRange, type: number): number {
  for (;;) {
    flock.fill(0);
    fields.setInt16(0, type, true);
    fields.setBigInt64(8, BigInt(start), true);
    fields.setBigInt64(16, BigInt(end - start), true);
    const result = sysFcntl(fd, command, flock);
    if (result !== -EINTR) return result;
  }
}

function check(result: number, verb: string): void {
  if (result >= 0) return;
  throw new SociError(
    "failed-precondition",
    `Cannot ${verb} a range of a lock file: ${errnoName(-result)}`,
    { hint: "The state directory must be on a file system that has record locks" },
  );
}
