import type { Logger } from "../observability/log.ts";
import { findMount } from "../sys/mountinfo.ts";
import { unmountFuse } from "../sys/unmount-fuse.ts";

/**
 * Takes FUSE mounts away from a directory that this process is about to mount on: whoever served
 * them has ended. Without a look into them.
 */
export async function endStaleMounts(directory: string, log: Logger): Promise<void> {
  for (;;) {
    const mount = await findMount(directory);
    if (mount === undefined || !/^fuse(?:\.|$)/.test(mount.type)) return;
    log.warn("mount of a process that has ended is taken away", {
      directory,
      device: mount.device,
      type: mount.type,
    });
    await unmountFuse(directory, { force: true });
  }
}
