/** One pax record, raw bytes as in the archive. https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html */
export interface PaxRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Seconds since 1970 (negative before) and nanoseconds 0 to 999,999,999. */
export interface TarTime {
  readonly seconds: bigint;
  readonly nanoseconds: number;
}

/** One run of data in a sparse file: bytes [offset, offset + length) of the file are not a hole. */
export interface SparseExtent {
  readonly offset: number;
  readonly length: number;
}

/**
 * One entry of a tar archive as Go's archive/tar reports it: base header with pax and GNU
 * extensions applied. Byte fields are raw, neither cleaned nor checked as UTF-8, and may be kept.
 */
export interface TarEntry {
  readonly name: Uint8Array;
  /** Type flag byte after Go's normalisation (`\0` is `0`, or `5` when the name ends in `/`). */
  readonly typeflag: number;
  readonly linkname: Uint8Array;
  /**
   * Logical size as Go's Header.Size: of a sparse file, the size with its holes. Entries without data
   * (links, directories, devices) keep what their header says, which may even be negative.
   */
  readonly size: number;
  readonly mode: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly uname: Uint8Array;
  readonly gname: Uint8Array;
  readonly mtime: TarTime;
  readonly devmajor: bigint;
  readonly devminor: bigint;
  /** Local pax records of this entry (Go's PAXRecords), the last of equal keys, sorted by key bytes. */
  readonly pax: readonly PaxRecord[];
  /** Whether Go would hand out a sparse reader for it (GNU `S` or pax GNU.sparse.*). */
  readonly sparse: boolean;
  /**
   * Only of a sparse file: its data, in order, without overlap, none empty, all within `size`. The
   * archive holds the runs one after another from dataStart on. Their sum is `storedSize` in a sound
   * archive; Go finds out only when the file is read, so compare before reading.
   */
  readonly sparseExtents?: readonly SparseExtent[] | undefined;
  /** Offset of the entry's first header block, extension headers included, in the uncompressed tar. */
  readonly headerStart: number;
  /** Offset of the entry's data in the uncompressed tar: the reader's position after Go's Next(). */
  readonly dataStart: number;
  /** Bytes of data in the archive from dataStart on, padding not counted; 0 for an entry without data. */
  readonly storedSize: number;
}
