import { createHash } from "node:crypto";
import { readFile, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { listMounts } from "../src/sys/mountinfo.ts";

/** Of containerd, which ctr uses when it is not told another. */
const NAMESPACE = "default";
const TRIES = 50;
const WAIT_MS = 20;

/** Where containerd's shims listen, whatever the configuration says. */
const SHIM_SOCKETS = "/run/containerd/s";

/**
 * Takes away what is left of a container of ctr's when runc or its shim was killed while it began:
 * control groups and a socket.
 */
export async function removeLeftovers(address: string, id: string): Promise<void> {
  const hash = createHash("sha256")
    .update(join(address, NAMESPACE, id))
    .digest("hex");
  await rm(join(SHIM_SOCKETS, hash), { force: true });
  const hierarchies = (await listMounts()).filter(({ type }) => /^cgroup2?$/.test(type));
  for (const { mountPoint } of hierarchies) await removeGroup(join(mountPoint, NAMESPACE, id));
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
