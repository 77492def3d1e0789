import { rmSync, writeFileSync } from "node:fs";
import type { Logger } from "../observability/log.ts";
import { tryKeeperLock } from "./keeper-lock.ts";
import { keeperPaths } from "./keeper-paths.ts";
import { KeeperServer } from "./keeper-server.ts";

export interface RunKeeperOptions {
  /** The state root that it is for. */
  readonly root: string;
  readonly timeoutMs: number;
  /** Aborted when the process is asked to end. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

const PRIVATE_UMASK = 0o177;
/** The last that the kernel ends when memory is short. */
const OOM_SCORE = "-1000";

/**
 * Keeps descriptors until there is nothing left to keep. Returns at once where another process does so
 * already for this state root. Asked to end it does, unless a daemon is there, who would have to start
 * another one.
 */
export async function runKeeper({ root, timeoutMs, signal, log }: RunKeeperOptions): Promise<void> {
  const paths = keeperPaths(root);
  process.chdir("/");
  process.umask(PRIVATE_UMASK);
  using lock = tryKeeperLock(paths.lock);
  if (lock === undefined) return;
  preferToLive();
  rmSync(paths.socket, { force: true });
  try {
    using server = new KeeperServer({ path: paths.socket, timeoutMs, log });
    while (await server.step()) {
      // A signal has interrupted the wait; who hears of it runs only now.
      await new Promise((resolve) => setImmediate(resolve));
      if (!signal.aborted || server.isLeased) continue;
      log.warn("asked to end without a daemon: mounts are given up", { mounts: server.count });
      await server.giveUp();
      return;
    }
  } finally {
    rmSync(paths.socket, { force: true });
  }
}

/** Where that is allowed: for an ordinary user it is not. */
function preferToLive(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", OOM_SCORE);
  } catch {
    // Then it is as likely as others of its size, which is small.
  }
}
