import { accessSync, closeSync, constants, openSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { isErrno } from "../../oci/fs-errors.ts";
import { lstatOf } from "../host-files.ts";
import { type Check, fail, ok, warn } from "./check.ts";

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

/** `release` is as uname(2) has it: `6.1.0-18-amd64`. */
export function kernelCheck(release: string): Check {
  const name = "kernel";
  const [, major = Number.NaN, minor = Number.NaN] = (/^(\d+)\.(\d+)/.exec(release) ?? []).map(
    Number,
  );
  const isAtLeast = (wantMajor: number, wantMinor: number): boolean =>
    major > wantMajor || (major === wantMajor && minor >= wantMinor);
  if (Number.isNaN(major)) return warn(name, `Linux ${release}, which says no version`);
  if (!isAtLeast(5, 4)) {
    return fail(
      name,
      `Linux ${release}, want 5.4 or later`,
      "Upgrade the kernel: a mount needs FUSE 7.31, which came with 5.4",
    );
  }
  if (!isAtLeast(6, 9)) {
    return warn(
      name,
      `Linux ${release}`,
      "It works; from 6.9 on, processes that wait for the service to be started again can be killed meanwhile",
    );
  }
  return ok(name, `Linux ${release}`);
}

/** `filesystems` is the text of /proc/filesystems. */
export function fileSystemCheck(type: "fuse" | "overlay", filesystems: string): Check {
  const isThere = filesystems.split("\n").some((line) => line.split("\t").at(-1) === type);
  return isThere
    ? ok(type, "the kernel has it")
    : warn(type, "the kernel has not loaded it", `As root: modprobe ${type}`);
}

/** Whether FUSE's device can be opened. */
export function fuseDeviceCheck(device: string = "/dev/fuse"): Check {
  const name = "fuse device";
  try {
    closeSync(openSync(device, constants.O_RDWR));
    return ok(name, device);
  } catch (error) {
    if (isErrno(error, "ENOENT")) {
      return fail(
        name,
        `there is no ${device}`,
        "As root: modprobe fuse; in a container, give it the device",
      );
    }
    if (isErrno(error, "EACCES", "EPERM")) {
      return fail(
        name,
        `${device} cannot be opened`,
        "Run it as root; in a container, allow the device",
      );
    }
    return fail(name, `${device} cannot be opened: ${messageOf(error)}`, "As root: modprobe fuse");
  }
}

export interface DiskFacts {
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** 0 of 0 where the file system has no limit. */
  readonly freeFiles: number;
  readonly totalFiles: number;
  /** As statfs(2) numbers it. */
  readonly type: number;
}

const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x01021994, "tmpfs"],
  [0x794c7630, "overlay"],
  [0x6969, "nfs"],
  [0x65735546, "fuse"],
  [0x2fc12fc1, "zfs"],
]);

/** Of the nearest directory above that is there. */
export function diskFacts(directory: string): DiskFacts {
  const place = nearest(directory);
  const { bavail, blocks, bsize, ffree, files, type } = statfsSync(place);
  return {
    freeBytes: bavail * bsize,
    totalBytes: blocks * bsize,
    freeFiles: ffree,
    totalFiles: files,
    type,
  };
}

/** Whether layers can be kept there. */
export function diskCheck(directory: string, facts: DiskFacts): Check {
  const name = "disk";
  const type = FILE_SYSTEMS.get(facts.type) ?? `type 0x${facts.type.toString(16)}`;
  const detail = `${directory}: ${sizeText(facts.freeBytes)} of ${sizeText(facts.totalBytes)} free, ${type}`;
  const elsewhere = 'Free some room, or put root = "DIR" into /etc/sociable/config.toml';
  if (type === "nfs" || type === "overlay" || type === "fuse") {
    return fail(
      name,
      `${detail}: an overlay cannot lie on it`,
      'Put root = "DIR" on a local disk (ext4, xfs, btrfs) into /etc/sociable/config.toml',
    );
  }
  if (facts.freeBytes < 256 * MiB) return fail(name, detail, elsewhere);
  if (facts.totalFiles > 0 && facts.freeFiles < 1000) {
    return fail(name, `${detail}, ${facts.freeFiles} inodes left`, elsewhere);
  }
  if (facts.freeBytes < 5 * GiB) return warn(name, detail, elsewhere);
  if (type === "tmpfs") return warn(name, `${detail}: it is memory`, elsewhere);
  return ok(name, detail);
}

/** Processes that share the cache meet there. */
export function sharedMemoryCheck(directory: string = "/dev/shm"): Check {
  const name = "shared memory";
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    return fail(
      name,
      `${directory} cannot be written to: ${messageOf(error)}`,
      `Mount a tmpfs on ${directory}`,
    );
  }
  const { bavail, bsize } = statfsSync(directory);
  const detail = `${directory}: ${sizeText(bavail * bsize)} free`;
  return bavail * bsize < 16 * MiB
    ? warn(name, detail, `Make it larger: mount -o remount,size=256m ${directory}`)
    : ok(name, detail);
}

export interface ClockFacts {
  readonly nowMs: number;
  /** A file that cannot be of the future: the program itself. */
  readonly madeMs: number;
  /** Whether the service manager says that the clock is set from the network; `undefined` when nobody says. */
  readonly isSynchronized: boolean | undefined;
}

export function programMadeMs(program: string): number {
  return statSync(program).mtimeMs;
}

/** Tokens and certificates are only good at their time. */
export function clockCheck({ nowMs, madeMs, isSynchronized }: ClockFacts): Check {
  const name = "clock";
  const now = new Date(nowMs).toISOString();
  const hint = "Set it from the network: timedatectl set-ntp true";
  if (madeMs - nowMs > 24 * 3600 * 1000) {
    return fail(
      name,
      `${now}, before this program was made: certificates and tokens will be refused`,
      hint,
    );
  }
  return isSynchronized === false
    ? warn(name, `${now}, not set from the network`, hint)
    : ok(name, now);
}

function nearest(directory: string): string {
  return lstatOf(directory) !== undefined || directory === "/"
    ? directory
    : nearest(dirname(directory));
}

function sizeText(bytes: number): string {
  return bytes >= GiB ? `${(bytes / GiB).toFixed(1)} GiB` : `${(bytes / MiB).toFixed(0)} MiB`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
