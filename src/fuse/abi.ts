// Numbers of the FUSE kernel protocol, up to 7.45. linux/include/uapi/linux/fuse.h

export const FUSE_KERNEL_VERSION = 7;
/** The newest minor version that is spoken here. */
export const FUSE_KERNEL_MINOR_VERSION = 45;
/** Node of the mount's root. */
export const FUSE_ROOT_ID = 1;
/** A read(2) on the device with less room than this is refused. */
export const FUSE_MIN_READ_BUFFER = 8192;

export const FUSE_LOOKUP = 1;
export const FUSE_FORGET = 2;
export const FUSE_GETATTR = 3;
export const FUSE_SETATTR = 4;
export const FUSE_READLINK = 5;
export const FUSE_SYMLINK = 6;
export const FUSE_MKNOD = 8;
export const FUSE_MKDIR = 9;
export const FUSE_UNLINK = 10;
export const FUSE_RMDIR = 11;
export const FUSE_RENAME = 12;
export const FUSE_LINK = 13;
export const FUSE_OPEN = 14;
export const FUSE_READ = 15;
export const FUSE_WRITE = 16;
export const FUSE_STATFS = 17;
export const FUSE_RELEASE = 18;
export const FUSE_FSYNC = 20;
export const FUSE_SETXATTR = 21;
export const FUSE_GETXATTR = 22;
export const FUSE_LISTXATTR = 23;
export const FUSE_REMOVEXATTR = 24;
export const FUSE_FLUSH = 25;
export const FUSE_INIT = 26;
export const FUSE_OPENDIR = 27;
export const FUSE_READDIR = 28;
export const FUSE_RELEASEDIR = 29;
export const FUSE_FSYNCDIR = 30;
export const FUSE_GETLK = 31;
export const FUSE_SETLK = 32;
export const FUSE_SETLKW = 33;
export const FUSE_ACCESS = 34;
export const FUSE_CREATE = 35;
export const FUSE_INTERRUPT = 36;
export const FUSE_BMAP = 37;
export const FUSE_DESTROY = 38;
export const FUSE_IOCTL = 39;
export const FUSE_POLL = 40;
export const FUSE_NOTIFY_REPLY = 41;
export const FUSE_BATCH_FORGET = 42;
export const FUSE_FALLOCATE = 43;
export const FUSE_READDIRPLUS = 44;
export const FUSE_RENAME2 = 45;
export const FUSE_LSEEK = 46;
export const FUSE_COPY_FILE_RANGE = 47;
export const FUSE_SETUPMAPPING = 48;
export const FUSE_REMOVEMAPPING = 49;
export const FUSE_SYNCFS = 50;
export const FUSE_TMPFILE = 51;
export const FUSE_STATX = 52;
export const FUSE_COPY_FILE_RANGE_64 = 53;

/** What a server may tell the kernel unasked: a reply with unique 0 and one of these for its error. */
export const FUSE_NOTIFY_INVAL_INODE = 2;
export const FUSE_NOTIFY_INVAL_ENTRY = 3;
export const FUSE_NOTIFY_RESEND = 7;

// Flags of INIT, by their bit: 0 to 31 are in `flags`, 32 and up in `flags2`.
export const FUSE_ASYNC_READ = 0;
export const FUSE_EXPORT_SUPPORT = 4;
export const FUSE_AUTO_INVAL_DATA = 12;
export const FUSE_DO_READDIRPLUS = 13;
export const FUSE_READDIRPLUS_AUTO = 14;
export const FUSE_NO_OPEN_SUPPORT = 17;
export const FUSE_PARALLEL_DIROPS = 18;
export const FUSE_POSIX_ACL = 20;
export const FUSE_MAX_PAGES = 22;
export const FUSE_CACHE_SYMLINKS = 23;
export const FUSE_NO_OPENDIR_SUPPORT = 24;
export const FUSE_INIT_EXT = 30;
export const FUSE_HAS_RESEND = 39;

/** ioctl(2) on a new /dev/fuse with the number of a connected one: the two share the connection. */
export const FUSE_DEV_IOC_CLONE = 0x8004_e500;
