import { beforeAll, expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { describeMounts } from "../support/describe-mounts.ts";
import { mountSample } from "../support/mount-sample.ts";
import { ALL_RIGHT, MountStage } from "../support/mount-stage.ts";
import { buildSociable, runProgram } from "../support/sociable-binary.ts";
import type { TempDir } from "../support/temp-dir.ts";

beforeAll(buildSociable, 120_000);

// Plain, so that there are no windows: they are large where spans are small.
const large = await mountSample({ largeBytes: 12_000_000, smallFiles: 60, compression: "none" });
const imageBytes = large.layers.reduce((sum, { tar }) => sum + tar.length, 0);

/** A small file system of its own on a directory of a test. */
async function smallDisk(temp: TempDir, name: string, size: string): Promise<AsyncDisposable> {
  const directory = temp.join(name);
  await mkdir(directory, { mode: 0o700 });
  await runProgram(["mount", "-t", "tmpfs", "-o", `size=${size},mode=0700`, "none", directory]);
  return {
    [Symbol.asyncDispose]: async () => {
      await runProgram(["umount", "-l", directory]);
    },
  };
}

/** Bytes that a directory takes on disk. */
async function diskUsage(directory: string): Promise<number> {
  const { stdout } = await runProgram(["du", "-s", "--block-size=1", directory]);
  return Number(Buffer.from(stdout).toString().split("\t")[0]);
}

describeMounts([], "a mount under pressure gives right bytes alone:", () => {
  test("eviction, 8 readers, a cache of a tenth of the image", async () => {
    await using stage = await MountStage.open(large);
    const cap = Math.floor(imageBytes / 10);
    await using mount = await stage.mount({ flags: ["--cache-size", String(cap)] });
    await using resources = new AsyncDisposableStack();
    const readers = Array.from({ length: 8 }, (_, i) =>
      resources.use(
        stage.compare(mount, { untilStopped: true, isDirect: i % 2 === 0, seed: i + 1 }),
      ),
    );
    let most = 0;
    for (let i = 0; i < 20; i++) {
      await Bun.sleep(200);
      most = Math.max(most, await diskUsage(stage.temp.join("root/cache")));
    }
    for (const reader of readers) {
      const report = await reader.stop();
      expect(report).toMatchObject(ALL_RIGHT);
      expect(report.reads).toBeGreaterThan(10);
    }
    await using whole = stage.compare(mount);
    expect(await whole.result).toMatchObject(ALL_RIGHT);
    // Reserved room may be in use for a moment before it is given back.
    expect(most).toBeLessThan(1.5 * cap);
    expect(mount.stderr).toContain("cache is too small");
  });

  test("a cache that may take nothing", async () => {
    await using stage = await MountStage.open(large);
    await using mount = await stage.mount({ flags: ["--cache-size", "0"] });
    await using reader = stage.compare(mount, { reads: 60, isDirect: true });
    expect(await reader.result).toMatchObject(ALL_RIGHT);
  });

  test("a full disk, which is said once", async () => {
    await using stage = await MountStage.open(large);
    await using _disk = await smallDisk(stage.temp, "root", "4m");
    await using mount = await stage.mount({ flags: ["--cache-size", "1GiB"] });
    await using whole = stage.compare(mount);
    await using random = stage.compare(mount, { reads: 60, isDirect: true });
    expect(await whole.result).toMatchObject(ALL_RIGHT);
    expect(await random.result).toMatchObject(ALL_RIGHT);
    expect(mount.stderr.match(/no room/g)).toHaveLength(1);
  });

  test("64 cold readers of a registry that hangs do not hold up reads of what is here", async () => {
    await using stage = await MountStage.open(large);
    await using mount = await stage.mount();
    const here = stage.paths.slice(1, 20);
    {
      await using before = stage.compare(mount, { paths: here });
      expect(await before.result).toMatchObject(ALL_RIGHT);
    }
    stage.proxy.stall();
    const cold = Array.from({ length: 64 }, (_, i) =>
      Bun.spawn(
        [
          ...["dd", `if=${mount.directory}/usr/lib/large`, "of=/dev/null", "bs=4k", "count=1"],
          ...["iflag=direct", `skip=${40 * i + 20}`],
        ],
        { stdio: ["ignore", "ignore", "ignore"] },
      ),
    );
    try {
      await Bun.sleep(500);
      expect(cold.filter(({ exitCode }) => exitCode === null).length).toBeGreaterThan(55);
      await using reader = stage.compare(mount, { paths: here, reads: 300, isDirect: true });
      const report = await reader.result;
      expect(report).toMatchObject(ALL_RIGHT);
      expect(report.slowestMs).toBeLessThan(1000);
      stage.proxy.flow();
      expect(new Set(await Promise.all(cold.map(({ exited }) => exited)))).toEqual(new Set([0]));
    } finally {
      for (const child of cold) child.kill("SIGKILL");
      await Promise.all(cold.map(({ exited }) => exited));
    }
  });
});
