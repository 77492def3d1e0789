// The bench's tree served by fuse-native, under Node. Usage: node fuse-native-main.mjs DIRECTORY BIG_BYTES FILES
// It is written as its users write: Maps of ready attributes, callbacks at once, caching by the kernel allowed.
import { createRequire } from "node:module";

const Fuse = createRequire(import.meta.url)("fuse-native");
const PATTERN_BYTES = 8 << 20;
const [directory, bigBytes, files] = process.argv.slice(2);
const BIG = Number(bigBytes);

const pattern = Buffer.alloc(2 * PATTERN_BYTES);
for (let i = 0, state = 1; i < PATTERN_BYTES; i++) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  pattern[i] = state >>> 24;
}
pattern.copy(pattern, PATTERN_BYTES, 0, PATTERN_BYTES);

const epoch = new Date(0);
const times = { mtime: epoch, atime: epoch, ctime: epoch };
const fileOf = (size) => ({ mode: 0o100644, size, nlink: 1, uid: 0, gid: 0, ...times });
const directoryAttr = { mode: 0o40755, size: 0, nlink: 1, uid: 0, gid: 0, ...times };
const names = Array.from({ length: Number(files) }, (_, i) => `file-${i}`);
const attrs = new Map([
  ["/", directoryAttr],
  ["/many", directoryAttr],
  ["/big", fileOf(BIG)],
  ...names.map((name) => [`/many/${name}`, fileOf(5)]),
]);

const fuse = new Fuse(
  directory,
  {
    getattr(path, done) {
      const attr = attrs.get(path);
      process.nextTick(done, attr === undefined ? Fuse.ENOENT : 0, attr);
    },
    readdir(path, done) {
      process.nextTick(done, 0, path === "/" ? ["big", "many"] : names);
    },
    open(_path, _flags, done) {
      process.nextTick(done, 0, 1);
    },
    read(_path, _fd, buffer, length, position, done) {
      const count = Math.max(0, Math.min(length, BIG - position));
      const from = position % PATTERN_BYTES;
      pattern.copy(buffer, 0, from, from + count);
      process.nextTick(done, count);
    },
  },
  { kernelCache: true, maxRead: 1 << 20 },
);
fuse.mount((error) => {
  if (error) throw error;
  process.stdout.write("ready\n");
});
