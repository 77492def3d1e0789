import { readFileSync } from "node:fs";

/** Whether this process is in a user namespace of its own, where overlays need `userxattr`. */
export function inUserNamespace(): boolean {
  let map: string;
  try {
    map = readFileSync("/proc/self/uid_map", "utf8");
  } catch {
    // A kernel without user namespaces has no such file.
    return false;
  }
  return !isInitialMap(map);
}

/** Whether an id map is that of the initial namespace: every id is itself. */
export function isInitialMap(map: string): boolean {
  return /^\s*0\s+0\s+4294967295\s*$/.test(map);
}
