import { readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { listMounts } from "../src/sys/mountinfo.ts";

const TRIES = 50;
const WAIT_MS = 20;

/** Takes away the control groups of a container of ctr's, which runc leaves when it is killed while it makes them. */
export async function removeControlGroups(id: string): Promise<void> {
  const hierarchies = (await listMounts()).filter(({ type }) => /^cgroup2?$/.test(type));
  for (const { mountPoint } of hierarchies) await removeGroup(join(mountPoint, "default", id));
}

async function removeGroup(directory: string): Promise<void> {
  for (let left = TRIES; ; left--) {
    try {
      await rmdir(directory);
      return;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "ENOENT") return;
      if (code !== "EBUSY" || left === 0) throw error;
    }
    await killMembers(directory);
    await Bun.sleep(WAIT_MS);
  }
}

async function killMembers(directory: string): Promise<void> {
  const pids = await readFile(join(directory, "cgroup.procs"), "utf8").catch(() => "");
  for (const pid of pids.split("\n").filter((line) => line !== "")) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended.
    }
  }
}
