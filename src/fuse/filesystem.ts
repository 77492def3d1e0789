/** Attributes of a node; one object that is filled again and again. Times of access and change are mtime too. */
export interface FuseAttr {
  /** What stat(2) shows; READDIR shows the node id, so the two are better equal. */
  ino: number;
  size: number;
  /** Of 512 bytes. */
  blocks: number;
  blksize: number;
  /** Seconds; negative before 1970. */
  mtime: number;
  mtimeNsec: number;
  /** With S_IFMT. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** 12 bits of major number, 20 of minor: new_encode_dev() of linux/kdev_t.h. */
  rdev: number;
  /** They may be others at any time: the kernel asks again whenever it needs them. */
  isChanging: boolean;
}

/** A name in a directory; one object that is filled again and again. */
export interface DirectoryChild {
  name: Uint8Array;
  node: number;
  /** With S_IFMT; nothing else of it counts. */
  mode: number;
}

/** One READ; dies with the call that got it. */
export interface ReadRequest {
  readonly node: number;
  readonly offset: number;
  readonly size: number;
  /** Names the request in the reply; made when asked for. */
  readonly unique: bigint;
  /** The only descriptor on which the reply counts. */
  readonly fd: number;
  /** Thread of the reader, 0 where it is not known. */
  readonly pid: number;
}

/**
 * Where read() leaves the data: `bytes` from `start` to `end`, anywhere as long as `start` is at
 * least 16. From `slack` on there is room for the largest read, and `slack` more bytes behind it.
 */
export interface ReadTarget {
  readonly bytes: Uint8Array;
  readonly slack: number;
  start: number;
  end: number;
}

/** Numbers of statfs(2). */
export interface FuseStatfs {
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
  bsize: number;
  namelen: number;
  frsize: number;
}

/** What read() returns when somebody else answers the request, now or later (replies.ts). */
export const PENDING = -0x1_0000;

/**
 * A read-only file system as the kernel asks for it, by node ids: whole numbers from 1 (the root)
 * to 2^53-1. It keeps nothing about its callers: no handles and no counts of lookups, so that
 * whoever has the same tables can answer the next request. Every call answers at once; failures are
 * negative errnos, and whatever is thrown becomes EIO. Returned views are used before the next call.
 * Names and views that it is given die with the call.
 */
export interface RawFileSystem {
  /** Node id, with its attributes in `attr`; 0: no such name; negative: -errno. */
  lookup(parent: number, name: Uint8Array, attr: FuseAttr): number;
  /** 0, or -errno. */
  getattr(node: number, attr: FuseAttr): number;
  readlink(node: number): Uint8Array | number;
  /** Bytes read, at least 0 and at most `request.size`; -errno; or PENDING. */
  read(request: ReadRequest, target: ReadTarget): number;
  /** Number of names without "." and ".."; or -errno, as ENOTDIR. */
  childCount(node: number): number;
  childAt(node: number, index: number, child: DirectoryChild): void;
  /** Directory of a directory; the root's is itself. */
  parentOf(node: number): number;
  /** The value, or -ENODATA. */
  getxattr(node: number, name: Uint8Array): Uint8Array | number;
  /** The names, each with a zero byte behind it. */
  listxattr(node: number): Uint8Array | number;
  /** Where the next data or hole begins (SEEK_DATA, SEEK_HOLE); or -ENXIO. */
  lseek(node: number, offset: number, whence: number): number;
  statfs(out: FuseStatfs): number;
  /**
   * The caller of a request wants to give up. True: it is known here, its answer (EINTR) comes from
   * elsewhere. False makes the kernel ask again as long as the request is pending.
   */
  interrupt(unique: bigint): boolean;
  /** False: no node has any, and the kernel is told so once for all of the mount. */
  readonly hasXattrs: boolean;
  /** Whether POSIX ACLs count: they are asked for as xattrs and enforced by the kernel. */
  readonly hasAcls: boolean;
  /** Whether names may be remembered as absent for ever. False for a root whose entries change. */
  isStable(directory: number): boolean;
}
