import { readdirSync, readFileSync } from "node:fs";

/** Resident memory by what is behind it: nothing (heaps), shared memory, files (code, tables that are mapped). */
export interface ProcessMemory {
  readonly anonBytes: number;
  readonly shmemBytes: number;
  readonly fileBytes: number;
}

const TICKS_PER_SECOND = 100;
/** Of /proc/PID/stat behind the name. proc_pid_stat(5): utime 14, stime 15, cutime 16, cstime 17 */
const CPU_FIELDS = [11, 12, 13, 14];
const NOTHING: ProcessMemory = { anonBytes: 0, shmemBytes: 0, fileBytes: 0 };

/** User and system time that a process has used so far, ended children included. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return CPU_FIELDS.reduce((sum, i) => sum + Number(fields[i]), 0) / TICKS_PER_SECOND;
}

/** Memory of a process and all its children, as it is now; zero when it has ended. */
export function memoryOf(pid: number): ProcessMemory {
  let total = ownMemoryOf(pid);
  for (const child of childrenOf(pid)) total = addMemory(total, memoryOf(child));
  return total;
}

/** Memory that only this process has: what a limit on it would count first. */
export function privateBytesOf({ anonBytes, shmemBytes }: ProcessMemory): number {
  return anonBytes + shmemBytes;
}

function ownMemoryOf(pid: number): ProcessMemory {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return NOTHING;
  }
  const bytesOf = (name: string): number =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1024;
  return {
    anonBytes: bytesOf("RssAnon"),
    shmemBytes: bytesOf("RssShmem"),
    fileBytes: bytesOf("RssFile"),
  };
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8")
        .split(" ")
        .filter((text) => text !== "")
        .map(Number),
    );
  } catch {
    // It, or one of its threads, has just ended.
    return [];
  }
}

function addMemory(one: ProcessMemory, other: ProcessMemory): ProcessMemory {
  return {
    anonBytes: one.anonBytes + other.anonBytes,
    shmemBytes: one.shmemBytes + other.shmemBytes,
    fileBytes: one.fileBytes + other.fileBytes,
  };
}
