import { randomUUID } from "node:crypto";
import { lstat, readlink, rename, symlink, unlink } from "node:fs/promises";
import { delay } from "../async/delay.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import { SociError } from "../errors.ts";
import { isErrno } from "./fs-errors.ts";
import { isRunning, ownProcess, parseProcessId } from "./process-id.ts";

export interface LockOptions extends WaitOptions {
  /** How long to wait for the holder before giving up. */
  readonly timeoutMs?: number;
}

const RETRY_MS = 20;
// A holder in another PID namespace cannot be looked at; it holds the lock for milliseconds.
const FOREIGN_STALE_MS = 60_000;

/**
 * Takes a lock between processes: a symbolic link at `path` whose text names its holder, made in one
 * atomic step, so that a lock is never seen without its owner. A lock whose process has died is
 * broken: renamed away, and put back should it turn out to be a newer one. Disposing releases it.
 * It keeps honest processes from losing each other's updates; files stay whole without it.
 * @throws unavailable when the holder keeps it too long
 */
export async function acquireLockLink(
  path: string,
  { signal, timeoutMs = 30_000 }: LockOptions = {},
): Promise<AsyncDisposable> {
  const text = `${await ownProcess()}.${randomUUID()}`;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    if (await tryLink(text, path)) {
      return { [Symbol.asyncDispose]: () => release(path, text) };
    }
    const holder = await readHolder(path);
    if (holder !== undefined && (await isStale(path, holder))) {
      await breakLock(path, holder);
    } else if (holder !== undefined) {
      if (Date.now() > deadline) {
        throw new SociError("unavailable", `Cannot lock "${path}": held by process ${holder}`, {
          hint: "If no such process runs, remove the file",
        });
      }
      await delay(RETRY_MS * (0.5 + Math.random()), { signal });
    }
  }
}

async function tryLink(text: string, path: string): Promise<boolean> {
  try {
    await symlink(text, path);
    return true;
  } catch (cause) {
    if (isErrno(cause, "EEXIST")) {
      return false;
    }
    throw new SociError("failed-precondition", `Cannot lock "${path}"`, { cause });
  }
}

async function readHolder(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) {
      return undefined;
    }
    throw new SociError("failed-precondition", `Cannot read the lock "${path}"`, { cause });
  }
}

async function isStale(path: string, holder: string): Promise<boolean> {
  const process = parseProcessId(holder);
  const running = process === undefined ? undefined : await isRunning(process);
  if (running !== undefined) {
    return !running;
  }
  try {
    return Date.now() - (await lstat(path)).mtimeMs > FOREIGN_STALE_MS;
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) {
      return false;
    }
    throw cause;
  }
}

async function breakLock(path: string, holder: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) {
      return;
    }
    throw cause;
  }
  const moved = await readlink(aside);
  await unlink(aside);
  if (moved !== holder) {
    // Somebody else broke it first and holds a new one: give that back.
    await tryLink(moved, path);
  }
}

async function release(path: string, text: string): Promise<void> {
  if ((await readHolder(path)) !== text) {
    return;
  }
  try {
    await unlink(path);
  } catch (cause) {
    if (!isErrno(cause, "ENOENT")) {
      throw cause;
    }
  }
}
