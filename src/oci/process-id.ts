import { readFile, readlink } from "node:fs/promises";
import { isErrno } from "./fs-errors.ts";

/** A process that cannot be taken for a later one of the same number. */
export interface ProcessId {
  readonly pid: number;
  /** Clock ticks since boot at which it started: field 22 of /proc/PID/stat, proc(5). */
  readonly startTime: string;
  /** The PID namespace that `pid` counts in, and the boot: a number means nothing elsewhere. */
  readonly world: string;
}

const FORM = /^(\d{1,10})-(\d{1,20})-([0-9a-f]{1,64})\./;

/** This process as text: `<pid>-<start time>-<world>`; followed by a dot it is what parseProcessId() reads. */
export async function ownProcess(): Promise<string> {
  const { pid } = process;
  return `${pid}-${(await startTimeOf(pid)) ?? "0"}-${await ownWorld()}`;
}

/** Reads the process off the front of a name such as `<pid>-<start time>-<world>.<anything>`. */
export function parseProcessId(text: string): ProcessId | undefined {
  const [, pid, startTime, world] = FORM.exec(text) ?? [];
  if (pid === undefined || startTime === undefined || world === undefined) {
    return undefined;
  }
  return { pid: Number(pid), startTime, world };
}

/** Whether the process still runs; `undefined` when it lives where we cannot look. */
export async function isRunning(id: ProcessId): Promise<boolean | undefined> {
  const own = await ownWorld();
  if (id.world !== own) {
    // Another boot of this machine is over; another PID namespace may be alive.
    return bootOf(id.world) === bootOf(own) ? undefined : false;
  }
  return (await startTimeOf(id.pid)) === id.startTime;
}

async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // The name in field 2 may hold spaces and parentheses: count from its last one.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) {
      return undefined;
    }
    throw error;
  }
}

async function ownWorld(): Promise<string> {
  const boot = (await readFile("/proc/sys/kernel/random/boot_id", "latin1")).trim();
  const namespace = /\d+/.exec(await readlink("/proc/self/ns/pid"))?.[0] ?? "0";
  return `${boot.replaceAll("-", "").slice(0, 32)}${Number(namespace).toString(16)}`;
}

function bootOf(world: string): string {
  return world.slice(0, 32);
}
