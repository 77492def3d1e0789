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
/** The keeper from which it takes over what another one has served. */
const KEEPER = "SOCIABLE_KEEPER";
const STDERR = 2;
const CHILD_FD = 3;

export interface DetachOptions {
  /** The program and what goes before its command line. */
  readonly self: readonly string[];
  readonly argv: readonly string[];
  readonly logFile: string;
  /** What it has in its environment beside ours. */
  readonly env?: Readonly<Record<string, string>>;
  readonly io: CliIo;
}

/**
 * Runs a command line in a process of its own session and waits until that is ready (announceReady()),
 * or has failed. Until then it shares our standard error. Returns its process id.
 */
export async function runDetached({
  self,
  argv,
  logFile,
  env,
  io,
}: DetachOptions): Promise<number> {
  await mkdir(dirname(logFile), { recursive: true, mode: 0o700 });
  const [program, ...rest] = self;
  if (program === undefined) throw new Error("the program's own name is not known");
  const child = Bun.spawn([program, ...rest, ...argv], {
    cwd: io.cwd,
    env: { ...io.env, ...env, [READY_FD]: String(CHILD_FD), [LOG_FILE]: logFile },
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

/** What a process in the background is for. */
export interface DetachedRun {
  /** It goes on where another one has ended: the name of the keeper that has what that one had. */
  readonly keeper: string | undefined;
  readonly logFile: string;
}

/** Undefined for a process that does not run in the background for another. */
export function detachedRun({ env }: Pick<CliIo, "env">): DetachedRun | undefined {
  const logFile = env[LOG_FILE];
  return logFile === undefined ? undefined : { keeper: env[KEEPER], logFile };
}

/** What the process that goes on where this one ends is to have in its environment. */
export function environmentOfNext(
  { env }: Pick<CliIo, "env">,
  keeper: string,
): Readonly<Record<string, string | undefined>> {
  const { [READY_FD]: _pipe, ...rest } = env;
  return { ...rest, [KEEPER]: keeper };
}

/**
 * Tells whoever waits that we are ready; from now on standard error goes to the log file. Disposing
 * removes the file when nothing was written to it. Does nothing in the foreground.
 */
export function announceReady(io: Pick<CliIo, "env">): Disposable {
  const run = detachedRun(io);
  if (run === undefined) return { [Symbol.dispose]: () => undefined };
  const { logFile } = run;
  const fd = io.env[READY_FD];
  if (fd !== undefined) tellReady(Number(fd), logFile);
  return { [Symbol.dispose]: () => removeIfEmpty(logFile) };
}

function tellReady(fd: number, logFile: string): void {
  const log = openSync(logFile, "a", 0o600);
  const failed = sysDup2(log, STDERR);
  closeSync(log);
  if (failed < 0) throw new SociError("internal", `Cannot write to "${logFile}"`);
  writeSync(fd, "\n");
  closeSync(fd);
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
