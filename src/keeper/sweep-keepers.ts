import { existsSync, readdirSync, rmSync } from "node:fs";
import { keeperPidOf } from "./keeper-lock.ts";
import { keeperPaths, namedKeepersOf } from "./keeper-paths.ts";

const LOCK = ".lock";

/** Removes what keepers with a name have left that were killed. */
export function sweepKeepers(root: string): void {
  const directory = namedKeepersOf(root);
  if (!existsSync(directory)) return;
  for (const file of readdirSync(directory)) {
    if (!file.endsWith(LOCK)) continue;
    const { socket, lock } = keeperPaths(root, file.slice(0, -LOCK.length));
    if (keeperPidOf(lock) !== undefined) continue;
    rmSync(socket, { force: true });
    rmSync(lock, { force: true });
  }
}
