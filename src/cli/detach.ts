import { closeSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { SociError } from "../errors.ts";
import { sysDup2 } from "../sys/libc.ts";
import { type CliIo, FailedElsewhere } from "./cli-io.ts";

/** Tells a process that it runs in the background for another, which waits for this descriptor. */
const READY_FD = "SOCIABLE_READY_FD";
/** Where a process in the background writes from then on. */
const LOG_FILE = "SOCIABLE_LOG_FILE";
const STDERR = 2;
const CHILD_FD = 3;

export interface DetachOptions {
  /** The program and what goes before its command line. */
  readonly self: readonly string[];
  readonly argv: readonly string[];
  readonly logFile: string;
  readonly io: CliIo;
}

/**
 * Runs a command line in a process of its own session and waits until that is ready (announceReady()),
 * or has failed. Until then it shares our standard error. Returns its process id.
 */
export async function runDetached({ self, argv, logFile, io }: DetachOptions): Promise<number> {
  await mkdir(dirname(logFile), { recursive: true, mode: 0o700 });
  const [program, ...rest] = self;
  if (program === undefined) throw new Error("the program's own name is not known");
  const child = Bun.spawn([program, ...rest, ...argv], {
    cwd: io.cwd,
    env: { ...io.env, [READY_FD]: String(CHILD_FD), [LOG_FILE]: logFile },
    stdio: ["ignore", "ignore", "inherit", "pipe"],
    detached: true,
  });
  const onAbort = () => child.kill("SIGTERM");
  io.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const pipe = child.stdio[CHILD_FD];
    if (typeof pipe !== "number") throw new Error("the child has no pipe");
    const isReady = await Promise.race([readByte(pipe), child.exited.then(() => false)]);
    if (isReady) {
      child.unref();
      return child.pid;
    }
    const code = await child.exited;
    io.signal.throwIfAborted();
    throw new FailedElsewhere(code);
  } finally {
    io.signal.removeEventListener("abort", onAbort);
  }
}

/** Whether this process runs in the background for another. */
export function isDetached({ env }: Pick<CliIo, "env">): boolean {
  return env[READY_FD] !== undefined;
}

/**
 * Tells whoever waits that we are ready; from now on standard error goes to the log file. Disposing
 * removes the file when nothing was written to it. Does nothing in the foreground.
 */
export function announceReady({ env }: Pick<CliIo, "env">): Disposable {
  const fd = Number(env[READY_FD]);
  const logFile = env[LOG_FILE];
  if (!Number.isInteger(fd) || logFile === undefined) return { [Symbol.dispose]: () => undefined };
  const log = openSync(logFile, "a", 0o600);
  const failed = sysDup2(log, STDERR);
  closeSync(log);
  if (failed < 0) throw new SociError("internal", `Cannot write to "${logFile}"`);
  writeSync(fd, "\n");
  closeSync(fd);
  return { [Symbol.dispose]: () => removeIfEmpty(logFile) };
}

function removeIfEmpty(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.size === 0) rmSync(path, { force: true });
}

async function readByte(fd: number): Promise<boolean> {
  const reader = Bun.file(fd).stream().getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return value !== undefined && value.length > 0;
}
