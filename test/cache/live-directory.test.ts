import { expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { openLiveDirectory, sweepLiveDirectories } from "../../src/cache/live-directory.ts";
import { hexOf } from "../../src/oci/digest.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";
import { fillAll, layerSample, opened } from "./samples.ts";

const UID = process.geteuid?.() ?? 0;
const OWN = `sociable-${UID}`;
const isRoot = UID === 0;

function cacheRootIn(dir: TempDir, name = "cache"): string {
  mkdirSync(dir.join(name));
  return dir.join(name);
}

test("openLiveDirectory() gives one directory for one cache, by whatever path", async () => {
  await using dir = await tempDir();
  const root = cacheRootIn(dir);
  symlinkSync(root, dir.join("link"));
  const found = openLiveDirectory(root, dir.path);
  expect(found?.startsWith(dir.join(OWN))).toBe(true);
  expect(openLiveDirectory(dir.join("link"), dir.path)).toBe(found);
  expect(openLiveDirectory(cacheRootIn(dir, "other"), dir.path)).not.toBe(found);
});

test.each([
  { title: "no directory", plant: (path: string) => writeFileSync(path, "") },
  {
    title: "a link to a directory",
    plant: (path: string) => {
      mkdirSync(`${path}-target`, { mode: 0o700 });
      symlinkSync(`${path}-target`, path);
    },
  },
  {
    title: "open to others",
    plant: (path: string) => {
      mkdirSync(path);
      chmodSync(path, 0o755);
    },
  },
  {
    title: isRoot ? "somebody else's" : "somebody else's (not tried: needs root)",
    plant: (path: string) => {
      if (!isRoot) {
        writeFileSync(path, "");
        return;
      }
      mkdirSync(path, { mode: 0o700 });
      chownSync(path, 12_345, 12_345);
    },
  },
])("openLiveDirectory() does not use what was planted: $title", async ({ plant }) => {
  await using dir = await tempDir();
  const root = cacheRootIn(dir);
  plant(dir.join(OWN));
  expect(openLiveDirectory(root, dir.path)).toBeUndefined();
  // The cache works all the same, and shares its maps with others.
  const { digest, parts, tar } = layerSample();
  await using cache = await LayerCache.open({
    root: dir.path,
    sharedMemory: dir.path,
    log: NO_LOG,
  });
  await using layer = await cache.createLayer(digest, parts);
  await using other = await opened(cache, digest);
  fillAll(layer, tar);
  expect(other.isComplete).toBe(true);
  expect(existsSync(layer.paths.live)).toBe(true);
});

test("openLiveDirectory() gives nothing where there is no shared memory", async () => {
  await using dir = await tempDir();
  expect(openLiveDirectory(cacheRootIn(dir), dir.join("nothing"))).toBeUndefined();
});

test("a live map beside the data is not taken over by another boot", async () => {
  await using dir = await tempDir();
  const options = { root: dir.path, sharedMemory: dir.join("nothing"), log: NO_LOG };
  const { digest, parts, tar } = layerSample();
  let live: string;
  let bytes: Buffer;
  {
    await using cache = await LayerCache.open(options);
    await using layer = await cache.createLayer(digest, parts);
    fillAll(layer, tar);
    live = layer.paths.live;
    bytes = Buffer.from(await Bun.file(live).bytes());
  }
  // Word 6 is the first of the boot.
  bytes.writeUInt32LE((bytes.readUInt32LE(24) ^ 1) >>> 0, 24);
  // And a span that only that boot knew to be gone.
  bytes.writeUInt32LE(2, 64);
  writeFileSync(live, bytes);
  await using cache = await LayerCache.open(options);
  await using layer = await opened(cache, digest);
  expect(layer.isPresent(0)).toBe(true);
});

test("sweepLiveDirectories() removes those of caches that are gone", async () => {
  await using dir = await tempDir();
  const kept = openLiveDirectory(cacheRootIn(dir), dir.path) ?? "";
  const gone = openLiveDirectory(cacheRootIn(dir, "gone"), dir.path) ?? "";
  const half = dir.join(OWN, "just-being-made");
  mkdirSync(half);
  writeFileSync(join(gone, "live"), "");
  rmSync(dir.join("gone"), { recursive: true });
  sweepLiveDirectories(kept);
  expect((await readdir(dir.join(OWN))).map((name) => dir.join(OWN, name)).sort()).toEqual(
    [kept, half].sort(),
  );
});

test("LayerCache keeps its live maps in /dev/shm, readable by nobody else", async () => {
  await using dir = await tempDir();
  const { digest, parts } = layerSample();
  let path: string | undefined;
  {
    await using cache = await LayerCache.open({ root: dir.path, log: NO_LOG });
    await using _layer = await cache.createLayer(digest, parts);
    path = openLiveDirectory(cache.root);
    if (path === undefined) throw new Error("no /dev/shm");
    expect((await Bun.file(join(path, hexOf(digest))).stat()).mode & 0o777).toBe(0o600);
    await cache.removeLayer(digest);
    expect(existsSync(join(path, hexOf(digest)))).toBe(false);
  }
  rmSync(path, { recursive: true });
});
