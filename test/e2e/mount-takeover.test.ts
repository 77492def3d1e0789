import { beforeAll, expect, test } from "bun:test";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { findMount } from "../../src/sys/mountinfo.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { DetachedMount, type DetachedMountOptions } from "../support/detached-mount.ts";
import { MountReader } from "../support/mount-reader.ts";
import { LARGE, mountSample } from "../support/mount-sample.ts";
import { ALL_RIGHT, MountStage } from "../support/mount-stage.ts";
import { buildSociable, runProgram, SOCIABLE, sociable } from "../support/sociable-binary.ts";

beforeAll(buildSociable, 120_000);

const sample = await mountSample({ largeBytes: 3_000_000 });

async function openStage(options: DetachedMountOptions = {}) {
  await using resources = new AsyncDisposableStack();
  const stage = resources.use(await MountStage.open(sample));
  const mount = resources.use(await DetachedMount.start(stage, options));
  const owned = resources.move();
  return {
    stage,
    mount,
    directory: mount.directory,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const WAYS = [
  { title: "by the kernel's word", env: {} },
  { title: "by the journal", env: { SOCIABLE_FUSE_NO_RESEND: "1" } },
] as const;

describeMounts([], "a detached mount whose server is killed", () => {
  test.each(WAYS)("gives its readers what they wait for, $title", async ({ env }) => {
    await using opened = await openStage({ env });
    const { stage, mount, directory } = opened;
    stage.proxy.stall();
    await using whole = stage.compare({ directory });
    await using one = stage.compare({ directory }, { paths: [LARGE], isDirect: true });
    await using random = stage.compare({ directory }, { reads: 40, isDirect: true });
    await Bun.sleep(500);
    await mount.killServer();
    stage.proxy.flow();
    expect(await whole.result).toMatchObject(ALL_RIGHT);
    expect(await one.result).toMatchObject(ALL_RIGHT);
    expect(await random.result).toMatchObject(ALL_RIGHT);
  });

  test("answers what was asked while there was no server", async () => {
    await using opened = await openStage();
    const { stage, mount, directory } = opened;
    await mount.killServer();
    await using list = MountReader.list({ directory });
    await using reader = stage.compare({ directory });
    const paths = (await list.result).filter(({ type }) => type === "reg").map(({ path }) => path);
    expect(paths.toSorted()).toEqual(
      [...sample.files.keys(), "usr/bin/su"].map((path) => `/${path}`).toSorted(),
    );
    expect(await reader.result).toMatchObject(ALL_RIGHT);
  });

  test.each(WAYS)("again and again, readers all the time, $title", async ({ env }) => {
    await using opened = await openStage({ env });
    const { stage, mount, directory } = opened;
    await using direct = stage.compare({ directory }, { untilStopped: true, isDirect: true });
    await using cached = stage.compare({ directory }, { untilStopped: true, seed: 2 });
    await Bun.sleep(100);
    for (let i = 0; i < 4; i++) {
      const former = mount.serverPid;
      await mount.killServer();
      await mount.servedAgain(former);
      // The last time in the middle of the start of the one before.
      await Bun.sleep(i === 2 ? 0 : 400);
    }
    await Bun.sleep(300);
    for (const reader of [direct, cached]) {
      const report = await reader.stop();
      expect(report).toMatchObject(ALL_RIGHT);
      expect(report.reads).toBeGreaterThan(0);
    }
  });

  test("needs no registry for what is here", async () => {
    await using opened = await openStage({ flags: ["--wait"] });
    const { stage, mount, directory } = opened;
    await stage.proxy.down();
    await mount.killServer();
    await using reader = stage.compare({ directory }, { isDirect: true });
    expect(await reader.result).toMatchObject(ALL_RIGHT);
  });

  test("is served by a process that does not go where the first one was, below the mount", async () => {
    await using opened = await openStage({ cwd: ({ directory }) => directory });
    const { stage, mount, directory } = opened;
    const former = mount.serverPid;
    await mount.killServer();
    await mount.servedAgain(former);
    await using reader = stage.compare({ directory });
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    const { stdout } = await runProgram(["readlink", `/proc/${mount.serverPid}/cwd`]);
    expect(Buffer.from(stdout).toString()).toBe("/\n");
  });

  test("has the password that was asked for once", async () => {
    const login = { username: "me", password: "pass" };
    const manners = { auth: { kind: "basic", ...login } } as const;
    await using stage = await MountStage.open({ ...sample, manners });
    const order = { flags: ["--user", login.username], input: `${login.password}\n` };
    await using mount = await DetachedMount.start(stage, order);
    const former = mount.serverPid;
    await mount.killServer();
    await mount.servedAgain(former);
    await using reader = stage.compare(mount);
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    expect(stage.layerRequests.length).toBeGreaterThan(0);
  });

  test("is served by the program that is there then", async () => {
    await using stage = await MountStage.open(sample);
    const program = stage.temp.join("sociable");
    await runProgram(["cp", "--reflink=auto", SOCIABLE, program]);
    await using mount = await DetachedMount.start(stage, { program });
    await runProgram(["cp", "--reflink=auto", SOCIABLE, `${program}.new`]);
    await rename(`${program}.new`, program);
    const former = mount.serverPid;
    await mount.killServer();
    await mount.servedAgain(former);
    await using reader = stage.compare(mount);
    expect(await reader.result).toMatchObject(ALL_RIGHT);
    const { stdout } = await runProgram(["readlink", `/proc/${mount.serverPid}/exe`]);
    expect(Buffer.from(stdout).toString()).toBe(`${program}\n`);
  });

  test("is served by a process with the umask and the out-of-memory score of the first", async () => {
    await using opened = await openStage();
    const { mount } = opened;
    const before = await inherited(mount.serverPid);
    await mount.killServer();
    await mount.servedAgain(undefined);
    expect(await inherited(mount.serverPid)).toEqual(before);
  });
});

/** What a server has from whoever started it. */
async function inherited(pid: number | undefined) {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return {
    umask: /^Umask:\t(\w+)$/m.exec(status)?.[1],
    score: (await Bun.file(`/proc/${pid}/oom_score_adj`).text()).trim(),
  };
}

describeMounts([], "a detached mount", () => {
  test("goes on when its keeper is killed, and gets another", async () => {
    await using opened = await openStage();
    const { stage, mount, directory } = opened;
    const first = mount.keeperPid;
    expect(first).toBeDefined();
    await mount.killKeeper();
    await mount.keptAgain(first);
    const former = mount.serverPid;
    await mount.killServer();
    await mount.servedAgain(former);
    await using reader = stage.compare({ directory }, { isDirect: true });
    expect(await reader.result).toMatchObject(ALL_RIGHT);
  });

  test("whose processes are both killed gives errors, and can be unmounted", async () => {
    await using opened = await openStage();
    const { stage, mount, directory } = opened;
    await mount.killBoth();
    expect(await cannotRead(directory)).toBe(true);
    expect(mount.keeperFiles).toHaveLength(2);
    expect(await sociable(mount.root, ["unmount", directory])).toMatchObject({ code: 0 });
    // What they left is taken away by the next.
    await using again = await DetachedMount.start(stage);
    await again.keptAgain(undefined);
    expect(again.keeperFiles.filter((name) => name.endsWith(".lock"))).toHaveLength(1);
    await using reader = stage.compare({ directory });
    expect(await reader.result).toMatchObject(ALL_RIGHT);
  });

  test.each([
    {
      title: "umount(8)",
      end: (_pid: number, directory: string) => runProgram(["umount", directory]),
    },
    {
      title: "SIGTERM to its server",
      end: async (pid: number) => process.kill(pid, "SIGTERM"),
    },
  ])("ends by $title, and nothing is left", async ({ end }) => {
    await using opened = await openStage();
    const { mount, directory } = opened;
    await end(mount.serverPid ?? 0, directory);
    await mount.ended();
    expect(await findMount(directory)).toBeUndefined();
    expect(mount.keeperFiles).toEqual([]);
    expect(await readdir(join(mount.root, "mounts"))).toEqual([]);
  });

  test("that nobody can serve any more fails its readers in time, and can be unmounted", async () => {
    await using opened = await openStage({ flags: ["--takeover-timeout", "2s"] });
    const { mount, directory } = opened;
    await rm(join(mount.root, "mounts"), { recursive: true });
    await mount.killServer();
    expect(await cannotRead(directory)).toBe(true);
    await mount.ended();
    expect(mount.log).toContain("no daemon has come");
    expect(await sociable(mount.root, ["unmount", directory])).toMatchObject({ code: 0 });
  });

  test("--force unmounts it while nobody serves it", async () => {
    await using opened = await openStage();
    const { mount, directory } = opened;
    await rm(join(mount.root, "mounts"), { recursive: true });
    await mount.killServer();
    const reading = cannotRead(directory);
    await Bun.sleep(200);
    expect(await sociable(mount.root, ["unmount", "--force", directory])).toMatchObject({
      code: 0,
    });
    expect(await reading).toBe(true);
    await mount.ended();
  });
});

/** In a process of its own, which can be killed while it waits. */
async function cannotRead(directory: string): Promise<boolean> {
  const { code } = await runProgram(["cat", join(directory, LARGE)]);
  return code !== 0;
}
