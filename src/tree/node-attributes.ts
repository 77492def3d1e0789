import type { NodeType } from "./attributes.ts";

/** What stat(2) says of a node of a table. Readers fill one object again and again. */
export interface NodeAttributes {
  /** Type and permissions, as `st_mode`. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Of a device, as the kernel encodes it in 32 bits; else 0. */
  rdev: number;
  size: number;
  mtimeSeconds: number;
  mtimeNanoseconds: number;
}

export function newNodeAttributes(): NodeAttributes {
  return {
    mode: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 0,
    mtimeSeconds: 0,
    mtimeNanoseconds: 0,
  };
}

// https://man7.org/linux/man-pages/man7/inode.7.html
export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;

/** The bits of `st_mode` that say what a node is. */
export const TYPE_BITS: Readonly<Record<NodeType, number>> = {
  reg: S_IFREG,
  dir: S_IFDIR,
  symlink: S_IFLNK,
  char: S_IFCHR,
  block: S_IFBLK,
  fifo: S_IFIFO,
};

/** What ext4 says of most directories: tools expect a block, not 0. */
export const DIRECTORY_SIZE = 4096;

/**
 * A device's number as mknod(2) of the unpacker makes it: 12 bits of major, 20 of minor, what is above
 * is lost. new_encode_dev() of linux/kdev_t.h, which FUSE sends.
 */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)) >>> 0;
}
