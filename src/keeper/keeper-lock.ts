import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { SociError } from "../errors.ts";
import { isRecordLocked, tryRecordLock } from "../sys/record-lock.ts";

const WHOLE = { start: 0, end: 1 };

/** The right to be the keeper of a state root, until it is disposed of; undefined when another process has it. */
export function tryKeeperLock(path: string): Disposable | undefined {
  const fd = openLock(path, "a+");
  try {
    if (!tryRecordLock(fd, WHOLE, "exclusive")) {
      closeSync(fd);
      return undefined;
    }
    ftruncateSync(fd, 0);
    writeSync(fd, `${process.pid}\n`);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return { [Symbol.dispose]: () => closeSync(fd) };
}

/** The process that is the keeper now, by its lock; undefined when there is none. */
export function keeperPidOf(path: string): number | undefined {
  let fd: number;
  try {
    fd = openLock(path, "r");
  } catch {
    return undefined;
  }
  try {
    if (!isRecordLocked(fd, WHOLE)) return undefined;
    const text = readFileSync(path, "latin1").trim();
    return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined;
  } finally {
    closeSync(fd);
  }
}

function openLock(path: string, flags: string): number {
  try {
    return openSync(path, flags, 0o600);
  } catch (cause) {
    throw new SociError("failed-precondition", `Cannot open lock "${path}"`, { cause });
  }
}
