import { type ErrorKind, SociError } from "../errors.ts";
import { EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENOTDIR, EPERM, errnoName } from "./errno.ts";
import { openFuseDevice } from "./fuse-device.ts";
import { mountByFusermount } from "./fusermount.ts";
import { sysClose, sysMount } from "./libc.ts";

export interface MountFuseOptions {
  /** Absolute, and without symlinks. */
  readonly directory: string;
  /** Shown as the mount's source: the image's name. */
  readonly source: string;
  /** After `fuse.` in the mount's type. Default "sociable". */
  readonly subtype?: string;
  /** Most bytes of one READ. */
  readonly maxRead: number;
  /** Whether others than who mounts may look. */
  readonly allowOther: boolean;
  /** Whether set-user-ID bits, and devices, count. Only root can. Default false. */
  readonly suid?: boolean;
  readonly dev?: boolean;
}

const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;

/**
 * Mounts a FUSE file system, read-only, and returns its descriptor; INIT is to be answered next.
 * Root by mount(2), others through fusermount3. The caller closes the descriptor: with its last copy
 * the mount ends to work, though it stays in the tree until it is unmounted.
 */
export async function mountFuse(options: MountFuseOptions): Promise<number> {
  const uid = process.geteuid?.() ?? 0;
  if (uid === 0) return mountAsRoot(options, process.getegid?.() ?? 0);
  return await mountByFusermount(options.directory, userOptionsOf(options));
}

function mountAsRoot(options: MountFuseOptions, gid: number): number {
  const { directory, source, subtype = "sociable", suid = false, dev = false } = options;
  const fd = openFuseDevice();
  const failed = sysMount({
    source,
    target: directory,
    type: `fuse.${subtype}`,
    flags: MS_RDONLY | (suid ? 0 : MS_NOSUID) | (dev ? 0 : MS_NODEV),
    data: [`fd=${fd}`, "rootmode=40000", "user_id=0", `group_id=${gid}`, ...commonOf(options)].join(
      ",",
    ),
  });
  if (failed >= 0) return fd;
  sysClose(fd);
  const { kind, text } = failureOf(-failed);
  throw new SociError(kind, `Cannot mount on "${directory}": ${text}`);
}

/** As fusermount3 takes them. It adds nosuid and nodev by itself. */
export function userOptionsOf(options: MountFuseOptions): readonly string[] {
  const { source, subtype = "sociable", suid = false, dev = false } = options;
  if (suid || dev) {
    throw new SociError(
      "permission-denied",
      "Cannot mount with set-user-ID bits or devices: only root can",
    );
  }
  const fsname = source.replace(/[,\\]/g, "\\$&");
  return ["ro", "nosuid", "nodev", `fsname=${fsname}`, `subtype=${subtype}`, ...commonOf(options)];
}

function commonOf({ allowOther, maxRead }: MountFuseOptions): readonly string[] {
  return ["default_permissions", ...(allowOther ? ["allow_other"] : []), `max_read=${maxRead}`];
}

function failureOf(errno: number): { readonly kind: ErrorKind; readonly text: string } {
  switch (errno) {
    case ENOENT:
      return { kind: "not-found", text: "there is no such directory" };
    case ENOTDIR:
      return { kind: "invalid-argument", text: "it is not a directory" };
    case EPERM:
    case EACCES:
      return {
        kind: "permission-denied",
        text: `${errnoName(errno)}; a container needs --cap-add SYS_ADMIN`,
      };
    case ENODEV:
      return { kind: "unsupported", text: "the kernel has no FUSE" };
    case EBUSY:
      return { kind: "failed-precondition", text: "it is in use" };
    case EINVAL:
      return { kind: "unsupported", text: "the kernel refuses the mount options (EINVAL)" };
    default:
      return { kind: "internal", text: errnoName(errno) };
  }
}
