import { wireStruct } from "./wire-struct.ts";

// The structs of linux/include/uapi/linux/fuse.h, under their names there; one table each.

export const fuse_in_header = wireStruct({
  len: "u32",
  opcode: "u32",
  unique: "u64",
  nodeid: "u64",
  uid: "u32",
  gid: "u32",
  pid: "u32",
  total_extlen: "u16",
  padding: "u16",
});

export const fuse_out_header = wireStruct({ len: "u32", error: "i32", unique: "u64" });

export const fuse_attr = wireStruct({
  ino: "u64",
  size: "u64",
  blocks: "u64",
  atime: "i64",
  mtime: "i64",
  ctime: "i64",
  atimensec: "u32",
  mtimensec: "u32",
  ctimensec: "u32",
  mode: "u32",
  nlink: "u32",
  uid: "u32",
  gid: "u32",
  rdev: "u32",
  blksize: "u32",
  flags: "u32",
});

export const fuse_entry_out = wireStruct({
  nodeid: "u64",
  generation: "u64",
  entry_valid: "u64",
  attr_valid: "u64",
  entry_valid_nsec: "u32",
  attr_valid_nsec: "u32",
  attr: fuse_attr,
});

export const fuse_attr_out = wireStruct({
  attr_valid: "u64",
  attr_valid_nsec: "u32",
  dummy: "u32",
  attr: fuse_attr,
});

export const fuse_init_in = wireStruct({
  major: "u32",
  minor: "u32",
  max_readahead: "u32",
  flags: "u32",
  flags2: "u32",
  unused: 44,
});

export const fuse_init_out = wireStruct({
  major: "u32",
  minor: "u32",
  max_readahead: "u32",
  flags: "u32",
  max_background: "u16",
  congestion_threshold: "u16",
  max_write: "u32",
  time_gran: "u32",
  max_pages: "u16",
  map_alignment: "u16",
  flags2: "u32",
  max_stack_depth: "u32",
  request_timeout: "u16",
  unused: 22,
});

export const fuse_read_in = wireStruct({
  fh: "u64",
  offset: "u64",
  size: "u32",
  read_flags: "u32",
  lock_owner: "u64",
  flags: "u32",
  padding: "u32",
});

/** Followed by the name. */
export const fuse_dirent = wireStruct({ ino: "u64", off: "u64", namelen: "u32", type: "u32" });

/** Followed by the name. */
export const fuse_direntplus = wireStruct({ entry_out: fuse_entry_out, dirent: fuse_dirent });

/** Followed by the name; LISTXATTR has none. */
export const fuse_getxattr_in = wireStruct({ size: "u32", padding: "u32" });

export const fuse_getxattr_out = wireStruct({ size: "u32", padding: "u32" });

export const fuse_statfs_out = wireStruct({
  blocks: "u64",
  bfree: "u64",
  bavail: "u64",
  files: "u64",
  ffree: "u64",
  bsize: "u32",
  namelen: "u32",
  frsize: "u32",
  padding: "u32",
  spare: 24,
});

export const fuse_lseek_in = wireStruct({
  fh: "u64",
  offset: "u64",
  whence: "u32",
  padding: "u32",
});

export const fuse_lseek_out = wireStruct({ offset: "u64" });

export const fuse_interrupt_in = wireStruct({ unique: "u64" });

/** Followed by the name and a zero byte. */
export const fuse_notify_inval_entry_out = wireStruct({
  parent: "u64",
  namelen: "u32",
  flags: "u32",
});

export const fuse_notify_inval_inode_out = wireStruct({ ino: "u64", off: "i64", len: "i64" });
