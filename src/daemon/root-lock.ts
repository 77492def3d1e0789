import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { SociError } from "../errors.ts";
import { tryRecordLock } from "../sys/record-lock.ts";

const WHOLE = { start: 0, end: 1 };

/**
 * The right to be the daemon of a state root: one process at a time has it, until it is disposed of or
 * the process ends, however it ends. @throws failed-precondition naming the process that has it
 */
export function lockRoot(root: string): Disposable {
  const path = join(root, "serve.lock");
  const fd = openSync(path, "a+", 0o600);
  try {
    if (!tryRecordLock(fd, WHOLE, "exclusive")) {
      const pid = readFileSync(path, "latin1").trim();
      throw new SociError(
        "failed-precondition",
        `Cannot serve from "${root}": another daemon does${/^\d+$/.test(pid) ? ` (process ${pid})` : ""}`,
        { hint: "Stop that one first, or give this one a state directory of its own with --root" },
      );
    }
    ftruncateSync(fd, 0);
    writeSync(fd, `${process.pid}\n`);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  let isHeld = true;
  return {
    [Symbol.dispose]: () => {
      if (isHeld) closeSync(fd);
      isHeld = false;
    },
  };
}
