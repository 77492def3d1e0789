import { availableParallelism } from "node:os";
import type { Config } from "../config/config.ts";

/** Threads that answer the kernel for one mount. */
export function fuseThreadCount({ fuse }: Config): number {
  return fuse.threads || Math.max(2, Math.min(4, availableParallelism()));
}
