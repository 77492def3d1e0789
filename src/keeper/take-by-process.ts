import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { SociError } from "../errors.ts";
import { errnoName } from "../sys/errno.ts";
import { sysClose, sysPidfdGetfd, sysPidfdOpen } from "../sys/libc.ts";

/** A descriptor of a FUSE connection, by the device of its mount. */
export interface TakenDescriptor {
  readonly fd: number;
  readonly device: string;
}

const FUSE_DEVICE = "/dev/fuse";

/**
 * Copies of all FUSE connections that a process has open, without its help: for a keeper that cannot be
 * asked. One of several descriptors of a connection. Needs the rights of a debugger over the process,
 * and Linux 6.8, which tells whose a descriptor is. The caller closes them.
 * @throws unavailable when that cannot be had
 */
export function takeByProcess(pid: number): readonly TakenDescriptor[] {
  const pidfd = sysPidfdOpen(pid);
  if (pidfd < 0) throw unavailable(pid, `pidfd_open: ${errnoName(-pidfd)}`);
  const taken = new Map<string, TakenDescriptor>();
  try {
    for (const number of descriptorsOf(pid)) {
      const device = deviceOf(pid, number);
      if (device === undefined || taken.has(device)) continue;
      const fd = sysPidfdGetfd(pidfd, number);
      if (fd < 0) throw unavailable(pid, `pidfd_getfd: ${errnoName(-fd)}`);
      taken.set(device, { fd, device });
    }
    return [...taken.values()];
  } catch (error) {
    for (const { fd } of taken.values()) sysClose(fd);
    throw error;
  } finally {
    sysClose(pidfd);
  }
}

function descriptorsOf(pid: number): readonly number[] {
  const directory = `/proc/${pid}/fd`;
  try {
    const numbers = readdirSync(directory).map(Number);
    return numbers.filter((number) => linkOf(`${directory}/${number}`) === FUSE_DEVICE);
  } catch (cause) {
    throw unavailable(pid, "its descriptors cannot be listed", cause);
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    // Closed meanwhile.
    return undefined;
  }
}

function deviceOf(pid: number, fd: number): string | undefined {
  try {
    const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1");
    const minor = /^fuse_connection:\t(\d+)$/m.exec(info)?.[1];
    return minor === undefined ? undefined : `0:${minor}`;
  } catch {
    return undefined;
  }
}

function unavailable(pid: number, fault: string, cause?: unknown): SociError {
  return new SociError(
    "unavailable",
    `Cannot take the FUSE connections of process ${pid}: ${fault}`,
    { cause },
  );
}
