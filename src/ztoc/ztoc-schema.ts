// Slots of the FlatBuffers tables of a zTOC. The format has no file identifier and no size prefix.

export const XATTR = { slots: 2, key: 0, value: 1 } as const;

export const FILE_METADATA = {
  slots: 14,
  name: 0,
  type: 1,
  uncompressedOffset: 2,
  uncompressedSize: 3,
  linkname: 4,
  mode: 5,
  uid: 6,
  gid: 7,
  uname: 8,
  gname: 9,
  modTime: 10,
  devmajor: 11,
  devminor: 12,
  xattrs: 13,
} as const;

export const TOC = { slots: 1, metadata: 0 } as const;

export const COMPRESSION_INFO = {
  slots: 4,
  algorithm: 0,
  maxSpanId: 1,
  spanDigests: 2,
  checkpoints: 3,
} as const;

export const ZTOC = {
  slots: 6,
  version: 0,
  buildToolIdentifier: 1,
  compressedArchiveSize: 2,
  uncompressedArchiveSize: 3,
  toc: 4,
  compressionInfo: 5,
} as const;

/** Slots of a tar zinfo, which is a FlatBuffer of its own. */
export const TAR_ZINFO = { slots: 3, version: 0, spanSize: 1, size: 2 } as const;

/** Values of the enum CompressionAlgorithm; gzip is the field's default. */
export const ALGORITHM = { gzip: 1, uncompressed: 2 } as const;
