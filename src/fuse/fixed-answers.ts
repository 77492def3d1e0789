import { ENOSYS, ENOTTY, EROFS } from "../sys/errno.ts";
import {
  FUSE_COPY_FILE_RANGE,
  FUSE_COPY_FILE_RANGE_64,
  FUSE_CREATE,
  FUSE_DESTROY,
  FUSE_FALLOCATE,
  FUSE_IOCTL,
  FUSE_LINK,
  FUSE_MKDIR,
  FUSE_MKNOD,
  FUSE_RELEASE,
  FUSE_RELEASEDIR,
  FUSE_REMOVEXATTR,
  FUSE_RENAME,
  FUSE_RENAME2,
  FUSE_RMDIR,
  FUSE_SETATTR,
  FUSE_SETXATTR,
  FUSE_SYMLINK,
  FUSE_TMPFILE,
  FUSE_UNLINK,
  FUSE_WRITE,
} from "./abi.ts";

const ERRNOS: ReadonlyMap<number, number> = new Map([
  [FUSE_SETATTR, EROFS],
  [FUSE_SYMLINK, EROFS],
  [FUSE_MKNOD, EROFS],
  [FUSE_MKDIR, EROFS],
  [FUSE_UNLINK, EROFS],
  [FUSE_RMDIR, EROFS],
  [FUSE_RENAME, EROFS],
  [FUSE_RENAME2, EROFS],
  [FUSE_LINK, EROFS],
  [FUSE_WRITE, EROFS],
  [FUSE_SETXATTR, EROFS],
  [FUSE_REMOVEXATTR, EROFS],
  [FUSE_CREATE, EROFS],
  [FUSE_TMPFILE, EROFS],
  [FUSE_FALLOCATE, EROFS],
  [FUSE_COPY_FILE_RANGE, EROFS],
  [FUSE_COPY_FILE_RANGE_64, EROFS],
  [FUSE_IOCTL, ENOTTY],
  [FUSE_RELEASE, 0],
  [FUSE_RELEASEDIR, 0],
  [FUSE_DESTROY, 0],
]);

/**
 * The errno that every request of an opcode gets which the file system is not asked for. ENOSYS is
 * no failure: it tells the kernel once that a call need not be sent, and it does by itself what the
 * call would. So it is for OPEN, OPENDIR, FLUSH, FSYNC, FSYNCDIR, SYNCFS (nothing to do), ACCESS
 * (mode bits decide), STATX (GETATTR says all there is), BMAP, POLL, and for what is newer than this.
 */
export function fixedErrno(opcode: number): number {
  return ERRNOS.get(opcode) ?? ENOSYS;
}
