import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { readCacheId } from "../../src/cache/cache-id.ts";
import { removeMount } from "./mount-process.ts";
import { type TempDir, tempDir } from "./temp-dir.ts";

/**
 * A temp dir for state roots and mount points, each right below it. Disposing takes away whatever
 * mounts are left in it, and what the roots have in shared memory.
 */
export async function mountTemp(): Promise<TempDir> {
  const temp = await tempDir();
  return {
    ...temp,
    [Symbol.asyncDispose]: async () => {
      for (const directory of await mountsBelow(temp.path)) await removeMount(directory);
      for (const name of await readdir(temp.path)) await removeLive(temp.join(name));
      await temp[Symbol.asyncDispose]();
    },
  };
}

/** Where a state root has its live maps in shared memory; see cache/live-directory.ts. */
export async function liveDirectoryOf(root: string): Promise<string> {
  const cacheRoot = join(root, "cache");
  const { dev, ino, uid } = await stat(cacheRoot, { bigint: true });
  const id = readCacheId(cacheRoot);
  return `/dev/shm/sociable-${uid}/${dev.toString(16)}-${ino.toString(16)}-${id}`;
}

async function removeLive(root: string): Promise<void> {
  // Not every directory of a test is a state root.
  const directory = await liveDirectoryOf(root).catch(() => undefined);
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
}

/** FUSE mounts whose directories lie below a path. */
async function mountsBelow(path: string): Promise<string[]> {
  const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  return lines
    .filter((line) => line.includes(" - fuse"))
    .map((line) => line.split(" ")[4] ?? "")
    .filter((directory) => directory.startsWith(`${path}/`));
}
