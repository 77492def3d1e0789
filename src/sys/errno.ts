/** Numbers of Linux errors that this project answers or looks for. linux/include/uapi/asm-generic/errno*.h */
export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const E2BIG = 7;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENOTTY = 25;
export const ENOSPC = 28;
export const EROFS = 30;
export const EPIPE = 32;
export const ERANGE = 34;
export const ENAMETOOLONG = 36;
export const ENOSYS = 38;
export const ENODATA = 61;
export const EOPNOTSUPP = 95;
export const ECONNABORTED = 103;
export const ENOTCONN = 107;
export const ECONNREFUSED = 111;
export const ESTALE = 116;
export const EDQUOT = 122;
export const ECANCELED = 125;

const NAMES: ReadonlyMap<number, string> = new Map([
  [EPERM, "EPERM"],
  [ENOENT, "ENOENT"],
  [EINTR, "EINTR"],
  [EIO, "EIO"],
  [ENXIO, "ENXIO"],
  [E2BIG, "E2BIG"],
  [EBADF, "EBADF"],
  [EAGAIN, "EAGAIN"],
  [ENOMEM, "ENOMEM"],
  [EACCES, "EACCES"],
  [EBUSY, "EBUSY"],
  [EEXIST, "EEXIST"],
  [ENODEV, "ENODEV"],
  [ENOTDIR, "ENOTDIR"],
  [EISDIR, "EISDIR"],
  [EINVAL, "EINVAL"],
  [ENOTTY, "ENOTTY"],
  [ENOSPC, "ENOSPC"],
  [EROFS, "EROFS"],
  [EPIPE, "EPIPE"],
  [ERANGE, "ERANGE"],
  [ENAMETOOLONG, "ENAMETOOLONG"],
  [ENOSYS, "ENOSYS"],
  [ENODATA, "ENODATA"],
  [EOPNOTSUPP, "EOPNOTSUPP"],
  [ECONNABORTED, "ECONNABORTED"],
  [ENOTCONN, "ENOTCONN"],
  [ECONNREFUSED, "ECONNREFUSED"],
  [ESTALE, "ESTALE"],
  [EDQUOT, "EDQUOT"],
  [ECANCELED, "ECANCELED"],
]);

/** `ENOENT` for 2; for messages. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}
