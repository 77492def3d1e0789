import type { MountInfo } from "../sys/mountinfo.ts";

/**
 * Directories elsewhere that show what is mounted below a state root: overlays over it and binds of
 * it, as containers have them. In the order of `mounts`.
 */
export function mountUsers(mounts: readonly MountInfo[], root: string): readonly string[] {
  const isBelow = ({ mountPoint }: MountInfo): boolean => mountPoint.startsWith(`${root}/`);
  const ours = mounts.filter((mount) => isBelow(mount) && mount.type.startsWith("fuse."));
  const devices = new Set(ours.map(({ device }) => device));
  return mounts
    .filter((mount) => !isBelow(mount))
    .filter(
      ({ type, device, superOptions }) =>
        devices.has(device) || (type === "overlay" && isLayerBelow(superOptions, root)),
    )
    .map(({ mountPoint }) => mountPoint);
}

/** `lowerdir=/a:/b,upperdir=/c`; newer kernels have `lowerdir+=/a,lowerdir+=/b`. */
function isLayerBelow(options: string, root: string): boolean {
  return options.split(/[,:]/).some((part) => part.replace(/^[a-z+]+=/, "").startsWith(`${root}/`));
}
