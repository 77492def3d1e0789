import { MemoryFileSystem } from "./memory-file-system.ts";

/** File systems that a serving process builds by their names. */
export const FUSE_TREES = {
  /** A little of everything. */
  sample: sampleTree,
  /** The same, but whoever reads "wanted" waits. */
  waiting: () => sampleTree({ isPending: true }),
  /** What is measured: one large file, and 30,000 small ones. */
  bench: benchTree,
} as const;

export type FuseTreeName = keyof typeof FUSE_TREES;

export const SAMPLE_BIG_BYTES = 100_000_003;
export const BENCH_BIG_BYTES = 1 << 30;
export const BENCH_FILES = 30_000;

/** Bytes of a size that no power of two divides, so that a shifted read is seen. */
export function patternOf(bytes: number, seed = 1): Uint8Array {
  const pattern = new Uint8Array(bytes);
  let state = seed >>> 0;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    pattern[i] = state >>> 24;
  }
  return pattern;
}

export const SAMPLE_PATTERN_BYTES = 1_000_003;

function sampleTree({ isPending = false } = {}): MemoryFileSystem {
  const fs = new MemoryFileSystem();
  fs.file(1, "hello", { content: Buffer.from("hello\n"), mtime: -86_400, mtimeNsec: 123_456_789 });
  fs.file(1, "wanted", { content: Buffer.from("it came\n"), isPending });
  fs.file(1, "empty", { content: new Uint8Array(0) });
  fs.file(1, "owned", {
    content: Buffer.from("x"),
    mode: 0o4755,
    uid: 4_000_000_000,
    gid: 1234,
    mtime: 4_102_444_800,
    xattrs: { "user.colour": "blue", "user.empty": "" },
  });
  fs.file(1, "big", { content: patternOf(SAMPLE_PATTERN_BYTES), size: SAMPLE_BIG_BYTES });
  const directory = fs.directory(1, "directory", { mode: 0o1777 });
  const inner = fs.directory(directory, "inner");
  const shared = fs.file(inner, "one", { content: Buffer.from("shared"), nlink: 2 });
  fs.link(directory, "two", shared);
  fs.symlink(1, "link", "directory/inner/one");
  fs.file(1, "caf\xc3\xa9 \xff\n", { content: Buffer.from("bytes") });
  fs.file(1, "n".repeat(255), { content: Buffer.from("long") });
  const many = fs.directory(1, "many");
  for (let i = 0; i < 2000; i++) fs.file(many, `file-${i}`, { content: Buffer.from(String(i)) });
  return fs;
}

function benchTree(): MemoryFileSystem {
  const fs = new MemoryFileSystem();
  fs.hasXattrs = false;
  fs.file(1, "big", { content: patternOf(8 << 20), size: BENCH_BIG_BYTES });
  const many = fs.directory(1, "many");
  for (let i = 0; i < BENCH_FILES; i++) {
    fs.file(many, `file-${i}`, { content: Buffer.from("small") });
  }
  return fs;
}
