import { readdir, readFile } from "node:fs/promises";

/** For processes to end by themselves, and then when they are told to. */
const PATIENCE_MS = 3000;
const LOOK_MS = 10;

/** Processes that were started with this state root. */
export async function processesOf(root: string): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      // Who ended just now has none.
      const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      return `\0${words}`.includes(`\0--root\0${root}\0`) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}

/** Those that are left when their time to end by themselves is over. */
export async function lastingProcessesOf(root: string): Promise<readonly number[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const pids = await processesOf(root);
    if (pids.length === 0 || performance.now() > deadline) return pids;
    await Bun.sleep(LOOK_MS);
  }
}

/** Ends them: they are asked to, then killed. */
export async function endProcessesOf(root: string): Promise<void> {
  for (const name of ["SIGTERM", "SIGKILL"] as const) {
    for (const pid of await processesOf(root)) kill(pid, name);
    if ((await lastingProcessesOf(root)).length === 0) return;
  }
}

function kill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended.
  }
}
