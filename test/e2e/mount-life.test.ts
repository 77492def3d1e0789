import { beforeAll, expect, test } from "bun:test";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { findMount } from "../../src/sys/mountinfo.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { layerOf } from "../support/image-builder.ts";
import { MountProcess } from "../support/mount-process.ts";
import { LARGE, mountSample } from "../support/mount-sample.ts";
import { ALL_RIGHT, MountStage, type StageOptions } from "../support/mount-stage.ts";
import {
  buildSociable,
  type Finished,
  runProgram,
  SOCIABLE,
  sociable,
} from "../support/sociable-binary.ts";
import { concat, entry } from "../tar/tar-blocks.ts";

beforeAll(buildSociable, 120_000);

const sample = await mountSample();

async function openStage(options: Partial<StageOptions> = {}): Promise<MountStage> {
  return await MountStage.open({ ...sample, ...options });
}

async function isMounted(directory: string): Promise<boolean> {
  return (await findMount(directory)) !== undefined;
}

/** `sociable unmount` of another process. */
async function unmount(stage: MountStage, argv: readonly string[]): Promise<Finished> {
  return await sociable(stage.temp.join("root"), ["unmount", ...argv]);
}

/** A process whose working directory is in a mount. */
function occupy(directory: string): AsyncDisposable {
  const child = Bun.spawn(["sleep", "60"], {
    cwd: directory,
    stdio: ["ignore", "ignore", "ignore"],
  });
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

describeMounts([], "sociable mount ends", () => {
  test.each([
    { signal: "SIGINT", code: 130 },
    { signal: "SIGTERM", code: 143 },
    { signal: "SIGHUP", code: 129 },
  ] as const)("by $signal with $code, unmounted", async ({ signal, code }) => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    mount.kill(signal);
    expect(await mount.exited).toBe(code);
    expect(await isMounted(mount.directory)).toBe(false);
  });

  test("by SIGINT while reads wait and the mount is in use", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    await using _busy = occupy(join(mount.directory, "usr"));
    stage.proxy.stall();
    await using reader = stage.compare(mount, { paths: [LARGE] });
    await Bun.sleep(300);
    mount.kill("SIGINT");
    expect(await mount.exited).toBe(130);
    expect(await isMounted(mount.directory)).toBe(false);
    expect((await reader.result).errors).not.toEqual([]);
  });

  test("by umount(8), with 0", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    expect(await runProgram(["umount", mount.directory])).toMatchObject({ code: 0 });
    expect(await mount.exited).toBe(0);
  });

  test("by sociable unmount, with 0; given a symlink too", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    const link = stage.temp.join("link");
    await runProgram(["ln", "-s", mount.directory, link]);
    expect(await unmount(stage, [link])).toMatchObject({ code: 0, stderr: "" });
    expect(await mount.exited).toBe(0);
    expect(await isMounted(mount.directory)).toBe(false);
  });

  test("at a signal while the image is still prepared, and nothing is mounted", async () => {
    await using stage = await openStage();
    stage.proxy.stall();
    const directory = stage.temp.join("mnt");
    await mkdir(directory);
    const root = stage.temp.join("root");
    await using mount = MountProcess.spawn({ root, image: stage.name, directory });
    while (stage.proxy.connections === 0) await Bun.sleep(10);
    mount.kill("SIGINT");
    expect(await mount.exited).toBe(130);
    expect(await isMounted(directory)).toBe(false);
  });
});

describeMounts([], "sociable unmount", () => {
  test("leaves a mount alone that is in use, and says how to see by whom", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    await using _busy = occupy(join(mount.directory, "usr"));
    const { code, stderr } = await unmount(stage, [mount.directory]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("in use") });
    await using reader = stage.compare(mount);
    expect(await reader.result).toMatchObject(ALL_RIGHT);
  });

  test("--force ends one that is in use", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    await using _busy = occupy(join(mount.directory, "usr"));
    expect(await unmount(stage, ["--force", mount.directory])).toMatchObject({ code: 0 });
    expect(await isMounted(mount.directory)).toBe(false);
    expect(await mount.exited).toBe(0);
  });

  test("--force ends one whose registry hangs; its readers fail", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    stage.proxy.stall();
    await using reader = stage.compare(mount, { paths: [LARGE] });
    await Bun.sleep(300);
    expect(await unmount(stage, ["--force", mount.directory])).toMatchObject({ code: 0 });
    expect((await reader.result).errors).not.toEqual([]);
    expect(await mount.exited).toBe(0);
  });

  test("--force ends the connection itself where fusectl is mounted, wherever the mount is seen", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    stage.proxy.stall();
    await using reader = stage.compare(mount, { paths: [LARGE] });
    await Bun.sleep(300);
    const { device } = (await findMount(mount.directory)) ?? {};
    // In a namespace of its own: what is mounted and unmounted there nobody else sees.
    const control = "/sys/fs/fuse/connections";
    const script = `mount -t fusectl none ${control} && ls ${control} && exec "$@"`;
    const force = [SOCIABLE, "unmount", "--force", mount.directory];
    const { code, stdout } = await runProgram([
      ...["unshare", "--mount", "sh", "-c", script, "sh", ...force],
    ]);
    expect({ code, connections: Buffer.from(stdout).toString().split("\n") }).toEqual({
      code: 0,
      connections: expect.arrayContaining([device?.split(":")[1]]),
    });
    expect((await reader.result).errors).not.toEqual([]);
    expect(await mount.exited).toBe(0);
  });

  test("says of each directory what is wrong with it", async () => {
    await using stage = await openStage();
    const { temp } = stage;
    await mkdir(temp.join("plain"));
    for (const [directory, text] of [
      [temp.join("plain"), "nothing is mounted there"],
      ["/proc", "it is of type proc"],
      [temp.join("missing"), "nothing is mounted there"],
    ] as const) {
      const { code, stderr } = await unmount(stage, [directory]);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(text) });
    }
    const { code, stderr } = await unmount(stage, [temp.join("plain"), "/proc"]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("2 of 2") });
  });

  test("takes away what a killed process has left", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    mount.kill();
    await mount.exited;
    expect(await unmount(stage, [mount.directory])).toMatchObject({ code: 0 });
    expect(await isMounted(mount.directory)).toBe(false);
  });
});

describeMounts([], "sociable mount and its cache", () => {
  test("a mount over another hides it, and gives it back", async () => {
    await using stage = await openStage();
    await using under = await stage.mount();
    {
      await using over = await stage.mount();
      expect(await unmount(stage, [over.directory])).toMatchObject({ code: 0 });
      expect(await over.exited).toBe(0);
      await using reader = stage.compare(under);
      expect(await reader.result).toMatchObject(ALL_RIGHT);
    }
  });

  test("a mount under another ends by a signal, and leaves that one alone", async () => {
    await using stage = await openStage();
    await using under = await stage.mount();
    await using over = await stage.mount();
    under.kill("SIGTERM");
    expect(await under.exited).toBe(143);
    await using reader = stage.compare(over);
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    // What is left of the one below has no process: it is taken away as any other.
    for (const mount of [over, under]) {
      expect(await unmount(stage, [mount.directory])).toMatchObject({ code: 0 });
    }
    expect(await isMounted(over.directory)).toBe(false);
  });

  test("two mounts on one root fetch each byte once", async () => {
    await using stage = await openStage();
    await using one = await stage.mount();
    await using two = await stage.mount({ directory: "mnt-2" });
    await using first = stage.compare(one);
    await using second = stage.compare(two);
    expect(await first.result).toMatchObject(ALL_RIGHT);
    expect(await second.result).toMatchObject(ALL_RIGHT);
    expect(overlaps(stage)).toEqual([]);
  });

  test("a killed mount's cache serves the next one", async () => {
    await using stage = await openStage();
    {
      await using mount = await stage.mount();
      await using reader = stage.compare(mount);
      expect(await reader.result).toMatchObject(ALL_RIGHT);
      mount.kill();
      await mount.exited;
      expect(await runProgram(["umount", mount.directory])).toMatchObject({ code: 0 });
    }
    const before = stage.layerRequests.length;
    await using mount = await stage.mount();
    await using reader = stage.compare(mount);
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    expect(stage.layerRequests.length).toBe(before);
  });

  test("--wait brings everything: nothing is asked of the registry afterwards", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount({ flags: ["--wait"] });
    await mount.saying("All of the image is local");
    expect(overlaps(stage)).toEqual([]);
    await stage.proxy.down();
    await using reader = stage.compare(mount);
    expect(await reader.result).toMatchObject(ALL_RIGHT);
  });

  test("--wait ends when it is unmounted before", async () => {
    await using stage = await openStage();
    const request = new RegExp(stage.image.layers.map(({ descriptor: d }) => d.digest).join("|"));
    stage.proxy.order(100, { kind: "stall", request });
    await using mount = await stage.mount({ flags: ["--wait"] });
    expect(await unmount(stage, [mount.directory])).toMatchObject({ code: 0 });
    expect(await mount.exited).toBe(1);
    expect(mount.stderr).toContain("unmounted before");
  });

  test("--fill brings everything by and by", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount({ flags: ["--fill"] });
    const size = stage.image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
    const fetched = (): number => stage.layerRequests.reduce((sum, { bytes }) => sum + bytes, 0);
    // Nobody needs a gzip stream's header and trailer.
    for (let i = 0; i < 500 && fetched() < 0.99 * size; i++) await Bun.sleep(20);
    await using reader = stage.compare(mount);
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    expect(overlaps(stage)).toEqual([]);
  });

  test("an image without an index is downloaded first, which is said, and mounts at once again", async () => {
    await using stage = await openStage({ index: "none" });
    {
      await using mount = await stage.mount();
      expect(mount.stderr).toContain("No SOCI index");
      await using reader = stage.compare(mount);
      expect(await reader.result).toMatchObject(ALL_RIGHT);
    }
    const before = stage.layerRequests.length;
    await using mount = await stage.mount();
    expect(mount.stderr).not.toContain("downloaded");
    await using reader = stage.compare(mount);
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    expect(stage.layerRequests.length).toBe(before);
  });
});

/** Ranges of layers that were asked for twice. Of a byte in which one span ends and another starts, both need all. */
function overlaps(stage: MountStage): string[] {
  const ranges = stage.layerRequests.map(({ path, range }) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    return { path, start: Number(first ?? 0), end: Number(last ?? Number.MAX_SAFE_INTEGER) + 1 };
  });
  return ranges.flatMap((a, i) =>
    ranges
      .slice(i + 1)
      .filter((b) => a.path === b.path && a.start < b.end - 1 && b.start < a.end - 1)
      .map((b) => `${a.start}-${a.end} and ${b.start}-${b.end}`),
  );
}

describeMounts([], "sociable mount --detach", () => {
  test("returns when the mount can be used; its process lives on and writes a log", async () => {
    await using stage = await openStage();
    const directory = stage.temp.join("mnt");
    const root = stage.temp.join("root");
    await mkdir(directory);
    const { code, stdout, stderr } = await sociable(root, [
      ...["mount", "--detach", stage.name, directory],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const said = Buffer.from(stdout).toString();
    expect(said).toMatch(/^.+ \(process \d+\)\n$/);
    await using reader = stage.compare({ directory });
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    const pid = Number(/process (\d+)/.exec(said)?.[1]);
    expect((await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0")).toContain("mount");
    expect(await readdir(join(root, "log"))).toHaveLength(1);

    expect(await unmount(stage, [directory])).toMatchObject({ code: 0 });
    for (let i = 0; i < 500 && (await stat(`/proc/${pid}`).catch(() => undefined)); i++) {
      await Bun.sleep(10);
    }
    expect(await stat(`/proc/${pid}`).catch(() => "gone")).toBe("gone");
  });

  test("--wait returns when all is local", async () => {
    await using stage = await openStage();
    const directory = stage.temp.join("mnt");
    await mkdir(directory);
    const flags = ["--detach", "--wait"];
    expect(
      await sociable(stage.temp.join("root"), ["mount", ...flags, stage.name, directory]),
    ).toMatchObject({ code: 0 });
    await stage.proxy.down();
    await using reader = stage.compare({ directory });
    expect(await reader.result).toMatchObject(ALL_RIGHT);
  });

  test("says what failed in the background, and ends with its code", async () => {
    await using stage = await openStage();
    await mkdir(stage.temp.join("mnt"));
    const image = stage.name.replace("v1", "no-such-tag");
    const { code, stdout, stderr } = await sociable(stage.temp.join("root"), [
      ...["mount", "--detach", image, stage.temp.join("mnt")],
    ]);
    expect({ code, stdout: stdout.length }).toEqual({ code: 1, stdout: 0 });
    expect(stderr).toMatch(/^sociable: .*no-such-tag/m);
  });
});

describeMounts([], "sociable mount refuses", () => {
  async function refused(stage: MountStage, directory: string): Promise<Finished> {
    return await sociable(stage.temp.join("root"), ["mount", stage.name, directory]);
  }

  test("a directory that is missing, with 1 and how to make it", async () => {
    await using stage = await openStage();
    const { code, stderr } = await refused(stage, stage.temp.join("missing"));
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("mkdir -p") });
    expect(stage.registry.requests).toEqual([]);
  });

  test("a file, with 2", async () => {
    await using stage = await openStage();
    await Bun.write(stage.temp.join("file"), "x");
    const { code, stderr } = await refused(stage, stage.temp.join("file"));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining("no directory") });
  });

  test("an image with a damaged layer, naming that one alone", async () => {
    const damaged = layerOf(concat([entry({ name: "a" }, "x"), new Uint8Array(512).fill(1)]));
    const layers = [...sample.layers, damaged];
    await using stage = await openStage({ layers, index: "none" });
    await mkdir(stage.temp.join("mnt"));
    const { code, stderr } = await refused(stage, stage.temp.join("mnt"));
    expect(code).toBe(1);
    expect(stderr).toContain(`Cannot unpack layer ${damaged.descriptor.digest}`);
    expect(stderr).not.toContain("fetched again");
    expect(await isMounted(stage.temp.join("mnt"))).toBe(false);
  });

  test("a dead mount, with 1 and how to take it away", async () => {
    await using stage = await openStage();
    await using mount = await stage.mount();
    mount.kill();
    await mount.exited;
    const { code, stderr } = await refused(stage, mount.directory);
    expect(code).toBe(1);
    expect(stderr).toContain("dead mount");
    expect(stderr).toContain("sociable unmount");
  });
});
