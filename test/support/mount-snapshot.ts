import { spawnSync } from "node:child_process";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mount } from "../../src/containerd/api/mount.ts";
import { errnoName } from "../../src/sys/errno.ts";
import { MNT_DETACH, sysMount, sysUmount } from "../../src/sys/libc.ts";

const MS_RDONLY = 1;
const MS_REMOUNT = 32;
const MS_BIND = 4096;
const MS_REC = 16384;
const PAGE = 4096;

/** A snapshot, mounted as containerd does; disposing unmounts it. */
export interface MountedSnapshot extends AsyncDisposable {
  readonly path: string;
}

/** Mounts what Prepare, View or Mounts said, on a directory of its own. */
export async function mountSnapshot(mounts: readonly Mount[]): Promise<MountedSnapshot> {
  const [mount, ...others] = mounts;
  if (mount === undefined || others.length > 0) throw new Error(`${mounts.length} mounts`);
  const path = await mkdtemp(join(tmpdir(), "sociable-test-"));
  try {
    mountOn(path, mount);
  } catch (error) {
    await rmdir(path);
    throw error;
  }
  let mounted = true;
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      if (!mounted) return;
      mounted = false;
      check(sysUmount(path, MNT_DETACH), "umount2");
      await rmdir(path);
    },
  };
}

function mountOn(target: string, { type, source, options }: Mount): void {
  if (type === "bind") {
    const call = { source, target, type: "", data: "" };
    check(sysMount({ ...call, flags: MS_BIND | MS_REC }), "mount");
    if (options.includes("ro")) {
      check(sysMount({ ...call, flags: MS_BIND | MS_REMOUNT | MS_RDONLY }), "remount");
    }
    return;
  }
  const data = options.join(",");
  if (data.length < PAGE) {
    check(sysMount({ source, target, type, flags: 0, data }), "mount");
    return;
  }
  // More than mount(2) takes: names relative to where all lower directories are, as containerd does.
  const base = /lowerdir=(\/.*?)\/\d+\/fs/.exec(data)?.[1];
  if (base === undefined) throw new Error("no directory that all lower ones are in");
  const args = ["-t", type, source, "-o", data.replaceAll(`${base}/`, ""), target];
  const { status, stderr } = spawnSync("mount", args, { cwd: base });
  if (status !== 0) throw new Error(`mount: ${stderr.toString()}`);
}

function check(result: number, call: string): void {
  if (result < 0) throw new Error(`${call}: ${errnoName(-result)}`);
}
