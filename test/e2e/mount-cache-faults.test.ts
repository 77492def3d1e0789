import { beforeAll, expect, test } from "bun:test";
import { mkdir, open, readdir, rm, stat, truncate, unlink } from "node:fs/promises";
import { join } from "node:path";
import { describeMounts } from "../support/describe-mounts.ts";
import { MountProcess } from "../support/mount-process.ts";
import { mountSample } from "../support/mount-sample.ts";
import { ALL_RIGHT, MountStage } from "../support/mount-stage.ts";
import { liveDirectoryOf } from "../support/mount-temp.ts";
import { buildSociable, runProgram } from "../support/sociable-binary.ts";

beforeAll(buildSociable, 120_000);

const sample = await mountSample({ largeBytes: 2_500_000, smallFiles: 15 });

/** Everything compared, past the page cache. */
async function expectRight(
  stage: MountStage,
  mount: { readonly directory: string },
): Promise<void> {
  await using reader = stage.compare(mount, { isDirect: true });
  expect(await reader.result).toMatchObject(ALL_RIGHT);
}

/** One file of each layer in the cache. */
async function cacheFiles(stage: MountStage, name: string): Promise<string[]> {
  const directory = stage.temp.join("root/cache/sha256");
  const layers = await readdir(directory);
  expect(layers).toHaveLength(stage.image.layers.length);
  return layers.map((layer) => join(directory, layer, name));
}

/** Live maps of the layers, and nothing else that lies there. */
async function liveFiles(stage: MountStage): Promise<string[]> {
  const directory = await liveDirectoryOf(stage.temp.join("root"));
  const names = await readdir(directory);
  return names
    .filter((name) => /^[0-9a-f]{64}(-[0-9a-f]{64})?$/.test(name))
    .map((name) => join(directory, name));
}

async function trees(stage: MountStage): Promise<string[]> {
  const directory = stage.temp.join("root/cache/trees");
  return (await readdir(directory)).map((name) => join(directory, name));
}

/** Writes one byte over and over from an offset on. */
async function fill(path: string, byte: number, from = 0): Promise<void> {
  await using file = await open(path, "r+");
  const { size } = await file.stat();
  const bytes = Buffer.alloc(Math.max(0, size - from), byte);
  await file.write(bytes, 0, bytes.length, from);
}

async function punch(path: string): Promise<void> {
  const { size } = await stat(path);
  const whole = ["--offset", "0", "--length", String(size)];
  const { code } = await runProgram(["fallocate", "--punch-hole", ...whole, path]);
  expect(code).toBe(0);
}

interface Damage {
  readonly title: string;
  readonly damage: (stage: MountStage) => Promise<void>;
}

async function each(
  paths: readonly string[] | Promise<readonly string[]>,
  change: (path: string) => Promise<void>,
) {
  for (const path of await paths) await change(path);
}

const FILE_DAMAGES: readonly Damage[] = [
  ...["geometry", "entries", "inodes"].flatMap((name): Damage[] => [
    {
      title: `${name} is deleted`,
      damage: (stage) => each(cacheFiles(stage, name), (path) => unlink(path)),
    },
    {
      title: `${name} is truncated`,
      damage: (stage) => each(cacheFiles(stage, name), (path) => truncate(path, 100)),
    },
    {
      title: `${name} is overwritten`,
      damage: (stage) => each(cacheFiles(stage, name), (path) => fill(path, 0x20, 60)),
    },
  ]),
  {
    title: "the trees are truncated",
    damage: async (stage) => each(await trees(stage), (path) => truncate(path, 100)),
  },
  {
    title: "the trees are overwritten",
    damage: async (stage) => each(await trees(stage), (path) => fill(path, 0x20, 60)),
  },
  {
    title: "the trees are deleted",
    damage: async (stage) => each(await trees(stage), (path) => unlink(path)),
  },
];

const LIVE_DAMAGES: readonly Damage[] = [
  ...FILE_DAMAGES,
  {
    title: "the data is deleted",
    damage: (stage) => each(cacheFiles(stage, "data"), (path) => unlink(path)),
  },
  {
    title: "the data is truncated to nothing",
    damage: (stage) => each(cacheFiles(stage, "data"), (path) => truncate(path, 0)),
  },
  {
    title: "the data is truncated in the middle",
    damage: (stage) => each(cacheFiles(stage, "data"), (path) => truncate(path, 150_000)),
  },
  {
    title: "the data is punched, as by a tool that makes files sparse",
    damage: (stage) => each(cacheFiles(stage, "data"), punch),
  },
  {
    title: "the data is overwritten",
    damage: (stage) => each(cacheFiles(stage, "data"), (path) => fill(path, 0x20, 100_000)),
  },
  {
    title: "the map is deleted",
    damage: (stage) => each(cacheFiles(stage, "map"), (path) => unlink(path)),
  },
  {
    title: "the map is overwritten",
    damage: (stage) => each(cacheFiles(stage, "map"), (path) => fill(path, 0xff)),
  },
  {
    title: "the live maps are deleted",
    damage: async (stage) => each(await liveFiles(stage), (path) => unlink(path)),
  },
  {
    title: "the live maps say that nothing is here",
    damage: async (stage) => each(await liveFiles(stage), (path) => fill(path, 0, 64)),
  },
  {
    title: "the live maps say that everything is here, with other checksums",
    damage: async (stage) => each(await liveFiles(stage), (path) => fill(path, 0xff, 64)),
  },
  {
    title: "all of the cache is deleted",
    damage: (stage) => rm(stage.temp.join("root/cache"), { recursive: true }),
  },
];

const DEAD_DAMAGES: readonly Damage[] = [
  ...LIVE_DAMAGES,
  {
    title: "the map is truncated",
    damage: (stage) => each(cacheFiles(stage, "map"), (path) => truncate(path, 100)),
  },
  {
    title: "the live maps are truncated",
    damage: async (stage) => each(await liveFiles(stage), (path) => truncate(path, 70)),
  },
];

describeMounts(["fallocate"], "a mount serves no byte of a damaged cache", () => {
  test.each(LIVE_DAMAGES)("while it lives: $title", async ({ damage }) => {
    await using stage = await MountStage.open(sample);
    await using mount = await stage.mount();
    await expectRight(stage, mount);
    await damage(stage);
    await expectRight(stage, mount);
    // What has been fetched again is here now.
    await expectRight(stage, mount);
    mount.kill("SIGTERM");
    expect(await mount.exited).toBe(143);
    await using next = await stage.mount();
    await expectRight(stage, next);
  });

  test.each(DEAD_DAMAGES)("before it: $title", async ({ damage }) => {
    await using stage = await MountStage.open(sample);
    {
      await using mount = await stage.mount();
      await expectRight(stage, mount);
      mount.kill();
      await mount.exited;
    }
    await damage(stage);
    await using mount = await stage.mount();
    await expectRight(stage, mount);
  });

  test("in layers that can only be read whole", async () => {
    const zstd = await mountSample({ largeBytes: 9_000_000, compression: "zstd" });
    await using stage = await MountStage.open({ ...zstd, index: "none" });
    await using mount = await stage.mount();
    await expectRight(stage, mount);
    await each(cacheFiles(stage, "data"), (path) => truncate(path, 150_000));
    await expectRight(stage, mount);
  });
});

describeMounts([], "a mount that is killed in the middle of writes", () => {
  test.each([
    { title: "goes on where it was", isReboot: false },
    { title: "goes on after a reboot, too", isReboot: true },
  ])("$title", async ({ isReboot }) => {
    await using stage = await MountStage.open(sample);
    for (const afterMs of [5, 20, 60, 150]) {
      await using mount = await stage.mount({ flags: ["--fill"] });
      await using reader = stage.compare(mount, { untilStopped: true });
      await Bun.sleep(afterMs);
      mount.kill();
      await mount.exited;
      await reader.killed();
      if (isReboot) {
        await rm(await liveDirectoryOf(stage.temp.join("root")), { recursive: true, force: true });
      }
    }
    await using mount = await stage.mount();
    await expectRight(stage, mount);
  });

  test("while it reads layers whole", async () => {
    await using stage = await MountStage.open({ ...sample, index: "none" });
    await mkdir(stage.temp.join("mnt"));
    for (const afterMs of [30, 80, 120, 160]) {
      const root = stage.temp.join("root");
      const directory = stage.temp.join("mnt");
      await using mount = MountProcess.spawn({ root, image: stage.name, directory });
      await Bun.sleep(afterMs);
      mount.kill();
      await mount.exited;
    }
    await using mount = await stage.mount();
    await expectRight(stage, mount);
    expect(await readdir(stage.temp.join("root/cache/ingest"))).toEqual([]);
  });
});
