import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { SHARED_MEMORY, sweepLiveDirectories } from "../src/cache/live-directory.ts";

/**
 * Removes what caches that are no more have left in shared memory, as the next cache would: the state
 * roots of tests are gone when they end, and nobody may come after them.
 */
export function tidySharedMemory(): void {
  for (const name of readdirSync(SHARED_MEMORY).filter((entry) => /^sociable-\d+$/.test(entry))) {
    const own = join(SHARED_MEMORY, name);
    try {
      sweepLiveDirectories(join(own, "any"));
      rmdirSync(own);
    } catch {
      // In use, or somebody else's.
    }
  }
}
