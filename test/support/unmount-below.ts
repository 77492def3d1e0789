import { MNT_DETACH, sysUmount } from "../../src/sys/libc.ts";
import { listMounts } from "../../src/sys/mountinfo.ts";
import { abortFuse } from "../../src/sys/unmount-fuse.ts";

/** Takes away all mounts at and below a path, the last first; nobody may wait for FUSE ones afterwards. */
export async function unmountBelow(path: string): Promise<void> {
  const mounts = (await listMounts()).filter(
    ({ mountPoint }) => mountPoint === path || mountPoint.startsWith(`${path}/`),
  );
  for (const { mountPoint, device, type } of mounts.toReversed()) {
    if (type.startsWith("fuse")) await abortFuse(device);
    sysUmount(mountPoint, MNT_DETACH);
  }
}
