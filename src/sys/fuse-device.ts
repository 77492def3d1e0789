import { constants } from "node:fs";
import { type ErrorKind, SociError } from "../errors.ts";
import { EACCES, ENODEV, ENOENT, ENXIO, EPERM, errnoName } from "./errno.ts";
import { sysOpen } from "./libc.ts";

export const FUSE_DEVICE = "/dev/fuse";
const O_CLOEXEC = 0o2000000;

/** A new descriptor of /dev/fuse, non-blocking, connected to nothing yet. The caller closes it. */
export function openFuseDevice(): number {
  const fd = sysOpen(FUSE_DEVICE, constants.O_RDWR | constants.O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0) return fd;
  const { kind, hint } = adviceOn(-fd);
  throw new SociError(kind, `Cannot open "${FUSE_DEVICE}": ${errnoName(-fd)}`, { hint });
}

function adviceOn(errno: number): { readonly kind: ErrorKind; readonly hint: string } {
  switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return {
        kind: "unsupported",
        hint: "The kernel needs FUSE (modprobe fuse); a container needs --device /dev/fuse",
      };
    case EACCES:
    case EPERM:
      return {
        kind: "permission-denied",
        hint: "A container needs --device /dev/fuse; else see the rights of the device",
      };
    default:
      return { kind: "unavailable", hint: "The system's log may say why" };
  }
}
