import { beforeAll, expect, test } from "bun:test";
import { release } from "node:os";
import { findMount } from "../../src/sys/mountinfo.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { MountKeeper } from "../support/mount-keeper.ts";
import { MountReader } from "../support/mount-reader.ts";
import { LARGE, mountSample } from "../support/mount-sample.ts";
import { ALL_RIGHT, MountStage } from "../support/mount-stage.ts";
import { buildSociable, runProgram } from "../support/sociable-binary.ts";

beforeAll(buildSociable, 120_000);

const sample = await mountSample({ largeBytes: 3_000_000 });

/** Since 6.9 the kernel says again what it has asked of a server that ended. */
const [major = 0, minor = 0] = release().split(".").map(Number);
const canResend = major > 6 || (major === 6 && minor >= 9);
const testWithResend = canResend ? test : test.skip;
const reason = canResend ? "" : ` (skipped: Linux ${release()}, want 6.9)`;

/** A mount by the binary, and somebody who holds its connection. */
async function openStage() {
  await using resources = new AsyncDisposableStack();
  const stage = resources.use(await MountStage.open(sample));
  const mount = resources.use(await stage.mount());
  const { directory } = mount;
  const order = { root: stage.temp.join("root"), image: stage.name, directory };
  const keeper = resources.use(await MountKeeper.of(mount.pid, order));
  const owned = resources.move();
  return {
    stage,
    mount,
    keeper,
    directory,
    killFirst: async () => {
      mount.kill();
      await mount.exited;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describeMounts([], "a mount whose server is replaced", () => {
  testWithResend(`gives its readers what they wait for${reason}`, async () => {
    await using opened = await openStage();
    const { stage, keeper, directory, killFirst } = opened;
    stage.proxy.stall();
    await using whole = stage.compare({ directory });
    await using one = stage.compare({ directory }, { paths: [LARGE], isDirect: true });
    await using random = stage.compare({ directory }, { reads: 40, isDirect: true });
    await Bun.sleep(500);
    await killFirst();
    stage.proxy.flow();
    await keeper.serve();
    expect(await whole.result).toMatchObject(ALL_RIGHT);
    expect(await one.result).toMatchObject(ALL_RIGHT);
    expect(await random.result).toMatchObject(ALL_RIGHT);
  });

  testWithResend(`answers what was asked while there was no server${reason}`, async () => {
    await using opened = await openStage();
    const { stage, keeper, directory, killFirst } = opened;
    await killFirst();
    await using list = MountReader.list({ directory });
    await using reader = stage.compare({ directory });
    await Bun.sleep(500);
    await keeper.serve();
    const paths = (await list.result).filter(({ type }) => type === "reg").map(({ path }) => path);
    expect(paths.toSorted()).toEqual(
      [...sample.files.keys(), "usr/bin/su"].map((path) => `/${path}`).toSorted(),
    );
    expect(await reader.result).toMatchObject(ALL_RIGHT);
  });

  testWithResend(
    `goes through kill -9 again and again, readers all the time${reason}`,
    async () => {
      await using opened = await openStage();
      const { stage, keeper, directory, killFirst } = opened;
      await using direct = stage.compare({ directory }, { untilStopped: true, isDirect: true });
      await using cached = stage.compare({ directory }, { untilStopped: true, seed: 2 });
      await Bun.sleep(100);
      await killFirst();
      for (let i = 0; i < 3; i++) {
        await keeper.serve();
        await Bun.sleep(150 * i);
        await keeper.kill();
      }
      await keeper.serve();
      await Bun.sleep(300);
      for (const reader of [direct, cached]) {
        const report = await reader.stop();
        expect(report).toMatchObject(ALL_RIGHT);
        expect(report.reads).toBeGreaterThan(0);
      }
    },
  );

  test("ends its new server when it is unmounted", async () => {
    await using opened = await openStage();
    const { keeper, directory, killFirst } = opened;
    await killFirst();
    await keeper.serve();
    expect(await runProgram(["umount", directory])).toMatchObject({ code: 0 });
    expect(await keeper.exited).toBe(0);
    expect(await findMount(directory)).toBeUndefined();
  });
});
