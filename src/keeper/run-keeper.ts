import { readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Logger } from "../observability/log.ts";
import { EndRequests } from "./end-requests.ts";
import { tryKeeperLock } from "./keeper-lock.ts";
import { keeperPaths } from "./keeper-paths.ts";
import { KeeperServer } from "./keeper-server.ts";
import { Reviver, type ReviverOptions } from "./reviver.ts";

export interface RunKeeperOptions {
  /** The state root that it is for. */
  readonly root: string;
  /** Of a keeper that is not the daemon's. */
  readonly name?: string | undefined;
  readonly timeoutMs: number;
  /** How the server of what it holds is started again; without it somebody else does. */
  readonly revival?: Pick<ReviverOptions, "command" | "cwd" | "env"> | undefined;
  readonly log: Logger;
}

const PRIVATE_UMASK = 0o177;
const SCORE_FILE = "/proc/self/oom_score_adj";
/** The last that the kernel ends when memory is short. */
const OOM_SCORE = "-1000";

/**
 * Keeps descriptors until there is nothing left to keep. Returns at once where another process does so
 * already for this state root. Asked to end it does, as when the machine is shut down; unless a daemon
 * is there: a signal to all of a service (systemctl kill) is not meant for what outlives the daemon.
 */
export async function runKeeper(options: RunKeeperOptions): Promise<void> {
  const { root, name, timeoutMs, revival, log } = options;
  const paths = keeperPaths(root, name);
  process.chdir("/");
  const givenUmask = process.umask(PRIVATE_UMASK);
  using lock = tryKeeperLock(paths.lock);
  if (lock === undefined) return;
  const requests = new EndRequests();
  const givenScore = readScore();
  writeScore(OOM_SCORE);
  rmSync(paths.socket, { force: true });
  const asGiven = <T>(start: () => T): T => {
    process.umask(givenUmask);
    writeScore(givenScore);
    try {
      return start();
    } finally {
      process.umask(PRIVATE_UMASK);
      writeScore(OOM_SCORE);
    }
  };
  using reviver = revival === undefined ? undefined : new Reviver({ ...revival, asGiven, log });
  try {
    using server = new KeeperServer({ path: paths.socket, timeoutMs, reviver, log });
    while (await server.step()) {
      if (!(await requests.take()) || server.isLeased) continue;
      log.warn("asked to end without a daemon: mounts are given up", { mounts: server.count });
      await server.giveUp();
      return;
    }
  } finally {
    rmSync(paths.socket, { force: true });
    // Nobody looks for one of this name again.
    if (name !== undefined) rmSync(paths.lock, { force: true });
  }
}

function readScore(): string {
  try {
    return readFileSync(SCORE_FILE, "latin1");
  } catch {
    return "0";
  }
}

/** Where that is allowed: an ordinary user may not go below. */
function writeScore(score: string): void {
  try {
    writeFileSync(SCORE_FILE, score);
  } catch {
    // Then it is as likely as others of its size, which is small.
  }
}
