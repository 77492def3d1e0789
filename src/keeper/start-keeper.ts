import { closeSync, mkdirSync, openSync, statSync, truncateSync } from "node:fs";
import { dirname } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { delay } from "../async/delay.ts";
import { isKind, SociError } from "../errors.ts";
import { KeeperClient, type KeeperStatus } from "./keeper-client.ts";
import { keeperLogOf, keeperPaths } from "./keeper-paths.ts";

/** A command line of the program that serves what a keeper holds, when nobody else starts one. */
export interface Revival {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Which keeper, and how it is started. */
export interface KeeperOptions {
  /** The state root. */
  readonly root: string;
  /** Of one that is not the daemon's; it lives in the state root, too. */
  readonly name?: string | undefined;
  /** The program and what goes before its command line. */
  readonly self: readonly string[];
  /** How long what is held waits for the next server. */
  readonly timeoutMs: number;
  readonly revival?: Revival | undefined;
  /** Where it writes. Default: the log of the daemon's. */
  readonly logFile?: string | undefined;
}

export interface StartKeeperOptions extends KeeperOptions, WaitOptions {}

const PATIENCE_MS = 10_000;
const RETRY_MS = 5;
const MAX_LOG_BYTES = 1 << 20;

/**
 * The keeper of a state root, started if there is none: outside our process group and session, with
 * nothing of ours. Of two processes that start one at the same time both get the same.
 * @throws unavailable when it cannot be started
 */
export async function startKeeper(options: StartKeeperOptions): Promise<KeeperStatus> {
  const { root, name, signal } = options;
  const { socket } = keeperPaths(root, name);
  const client = new KeeperClient(socket);
  const there = await statusOf(client);
  if (there !== undefined) return there;
  const child = spawnKeeper(options);
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const status = await statusOf(client);
    if (status !== undefined) return status;
    // One that finds another has ended well; that one may not listen yet.
    const { exitCode } = child;
    if ((exitCode !== null && exitCode !== 0) || performance.now() > deadline) {
      child.kill("SIGKILL");
      throw new SociError("unavailable", `Cannot start the keeper of mounts in "${root}"`, {
        hint: `${logOf(options)} may say why`,
      });
    }
    await delay(RETRY_MS, { signal });
  }
}

function spawnKeeper(options: StartKeeperOptions): Bun.Subprocess {
  const { root, name, self, timeoutMs, revival } = options;
  const [program, ...rest] = self;
  if (program === undefined) throw new Error("the program's own name is not known");
  const command = [program, ...rest, "keeper", "--root", root, "--timeout", `${timeoutMs}ms`];
  if (name !== undefined) command.push("--name", name);
  if (revival !== undefined) command.push("--cwd", revival.cwd, "--", ...revival.argv);
  const log = openLog(logOf(options));
  try {
    mkdirSync(dirname(keeperPaths(root, name).lock), { recursive: true, mode: 0o700 });
    const child = Bun.spawn(command, {
      // What the program does depends on its name.
      argv0: "sociable",
      cwd: "/",
      env: { ...revival?.env },
      stdio: ["ignore", "ignore", log],
      detached: true,
    });
    child.unref();
    return child;
  } catch (cause) {
    throw new SociError("unavailable", `Cannot start "${program}" as keeper of mounts`, { cause });
  } finally {
    closeSync(log);
  }
}

function logOf({ root, logFile = keeperLogOf(root) }: KeeperOptions): string {
  return logFile;
}

function openLog(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES) truncateSync(path);
    return openSync(path, "a", 0o600);
  } catch (cause) {
    throw new SociError("unavailable", `Cannot write to "${path}"`, { cause });
  }
}

async function statusOf(client: KeeperClient): Promise<KeeperStatus | undefined> {
  try {
    return await client.status();
  } catch (error) {
    if (isKind(error, "not-found")) return undefined;
    throw error;
  }
}
