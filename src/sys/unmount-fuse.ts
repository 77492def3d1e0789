import { writeFile } from "node:fs/promises";
import { SociError } from "../errors.ts";
import { EBUSY, EINVAL, ENOENT, EPERM, errnoName } from "./errno.ts";
import { unmountByFusermount } from "./fusermount.ts";
import { MNT_DETACH, MNT_FORCE, sysUmount, UMOUNT_NOFOLLOW } from "./libc.ts";
import { findMount } from "./mountinfo.ts";

export interface UnmountFuseOptions {
  /**
   * Also when it is in use, or its server hangs: ends the connection, so that whoever waits for it
   * fails with ECONNABORTED, and detaches the directory. Default false.
   */
  readonly force?: boolean;
}

/**
 * Unmounts a FUSE file system from a directory (absolute, without symlinks), without a look into it.
 * `not-found` when none is there; `failed-precondition` when it is in use.
 */
export async function unmountFuse(
  directory: string,
  { force = false }: UnmountFuseOptions = {},
): Promise<void> {
  const mount = await findMount(directory);
  if (mount === undefined || !/^fuse(?:\.|$)/.test(mount.type)) {
    throw new SociError("not-found", `Cannot unmount "${directory}": no FUSE mount is there`);
  }
  if (force) await abortFuse(mount.device);
  if (process.geteuid?.() === 0) {
    unmountAsRoot(directory, force);
  } else {
    await unmountByFusermount(directory, { lazy: force });
  }
}

function unmountAsRoot(directory: string, force: boolean): void {
  // MNT_FORCE ends the connection too, where fusectl is not mounted.
  const flags = UMOUNT_NOFOLLOW | (force ? MNT_FORCE | MNT_DETACH : 0);
  const failed = -sysUmount(directory, flags);
  switch (failed) {
    case 0:
      return;
    case EBUSY:
      throw new SociError("failed-precondition", `Cannot unmount "${directory}": it is in use`);
    case EINVAL:
    case ENOENT:
      throw new SociError("not-found", `Cannot unmount "${directory}": nothing is mounted there`);
    case EPERM:
      throw new SociError("permission-denied", `Cannot unmount "${directory}": EPERM`);
    default:
      throw new SociError("internal", `Cannot unmount "${directory}": ${errnoName(failed)}`);
  }
}

/**
 * Ends the connection of a FUSE mount by its device (`0:52`): whoever waits for its server fails.
 * False where the kernel's control files are not to be had (fusectl is not mounted, or not ours).
 */
export async function abortFuse(device: string): Promise<boolean> {
  const minor = /^\d+:(\d+)$/.exec(device)?.[1];
  if (minor === undefined) throw new RangeError(`Cannot abort device "${device}", want "0:52"`);
  try {
    await writeFile(`/sys/fs/fuse/connections/${minor}/abort`, "1");
    return true;
  } catch {
    return false;
  }
}
