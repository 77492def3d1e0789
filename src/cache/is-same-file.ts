import { fstatSync, statSync } from "node:fs";

/** Whether the path still leads to the open file. */
export function isSameFile(fd: number, path: string): boolean {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  const own = fstatSync(fd, { bigint: true });
  return found?.ino === own.ino && found.dev === own.dev;
}
