import { beforeAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { copyFile, rename } from "node:fs/promises";
import { keeperPaths } from "../../src/keeper/keeper-paths.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import { untilEnded } from "../support/keeper-process.ts";
import { LARGE, mountSample } from "../support/mount-sample.ts";
import { ALL_RIGHT } from "../support/mount-stage.ts";
import { NO_FILL } from "../support/serve-host.ts";
import { buildSociable, SOCIABLE } from "../support/sociable-binary.ts";
import { TakeoverHost } from "../support/takeover-host.ts";
import { tempDir } from "../support/temp-dir.ts";

const PATIENCE_MS = 180_000;
const sample = await mountSample({ largeBytes: 3_000_000 });
const TAKEN = "mount of the daemon before is served further";

beforeAll(buildSociable, 120_000);

describeMounts(CONTAINERD_PROGRAMS, "a container whose daemon is replaced", () => {
  test.each([
    { title: "was killed", signal: "SIGKILL" },
    { title: "was asked to end", signal: "SIGTERM" },
    { title: "was interrupted", signal: "SIGINT" },
  ] as const)(
    "goes on reading after the daemon $title, what is here and what is not",
    async ({ signal }) => {
      await using stage = await TakeoverHost.start(sample, { config: NO_FILL });
      const { host } = stage;
      await using cached = stage.compare({ untilStopped: true });
      await using direct = stage.compare({ untilStopped: true, isDirect: true, seed: 2 });
      await Bun.sleep(200);
      if (signal === "SIGKILL") await host.serve.kill();
      else expect(await host.serve.stop(signal)).toBe(0);
      await Bun.sleep(200);
      await host.serve.restart();
      await Bun.sleep(300);
      for (const reader of [cached, direct]) {
        const report = await reader.stop();
        expect(report).toMatchObject(ALL_RIGHT);
        expect(report.reads).toBeGreaterThan(0);
      }
      expect(host.serve.recordsOf(TAKEN)).toHaveLength(1);
      await using whole = stage.compare({ isDirect: true });
      expect(await whole.result).toMatchObject(ALL_RIGHT);
      const { stdout } = await stage.container.exec(["/bin/ls", "/usr/share/small"]);
      expect(Buffer.from(stdout).toString().trim().split("\n")).toHaveLength(30);
    },
    PATIENCE_MS,
  );

  test(
    "gets what it waited for when the daemon was killed, from a registry that was away",
    async () => {
      await using stage = await TakeoverHost.start(sample, { config: NO_FILL });
      const { host } = stage;
      host.proxy.stall();
      await using large = stage.compare({ paths: [LARGE], isDirect: true });
      await using random = stage.compare({ reads: 40, isDirect: true });
      await Bun.sleep(500);
      await host.serve.kill();
      host.proxy.flow();
      await host.serve.restart();
      expect(await large.result).toMatchObject(ALL_RIGHT);
      expect(await random.result).toMatchObject(ALL_RIGHT);
    },
    PATIENCE_MS,
  );

  test(
    "goes through kill -9 again and again, also in the middle of a takeover",
    async () => {
      await using stage = await TakeoverHost.start(sample, { config: NO_FILL });
      const { host } = stage;
      await using cached = stage.compare({ untilStopped: true });
      await using direct = stage.compare({ untilStopped: true, isDirect: true, seed: 2 });
      for (let i = 0; i < 6; i++) {
        await host.serve.kill();
        const starting = host.serve.restart();
        if (i % 2 === 1) {
          // Before it can be used.
          await Bun.sleep(40 * i);
          await host.serve.kill();
          await starting.catch(() => undefined);
          await host.serve.restart();
        } else {
          await starting;
        }
        await Bun.sleep(50 * i);
      }
      for (const reader of [cached, direct]) {
        const report = await reader.stop();
        expect(report).toMatchObject(ALL_RIGHT);
        expect(report.reads).toBeGreaterThan(0);
      }
    },
    PATIENCE_MS,
  );

  test(
    "waits for what is not here while daemon and registry are away, and has the rest",
    async () => {
      await using stage = await TakeoverHost.start(sample, { config: NO_FILL });
      const { host } = stage;
      const [first = ""] = stage.paths.slice(1);
      await using before = stage.compare({ paths: [first], isDirect: true });
      expect(await before.result).toMatchObject(ALL_RIGHT);
      await host.proxy.down();
      await host.serve.kill();
      await using here = stage.compare({ paths: [first], isDirect: true });
      await using away = stage.compare({ paths: [LARGE], isDirect: true });
      await Bun.sleep(2000);
      await host.serve.restart();
      expect(await here.result).toMatchObject(ALL_RIGHT);
      await host.proxy.up();
      expect(await away.result).toMatchObject(ALL_RIGHT);
    },
    PATIENCE_MS,
  );

  test(
    "goes on under another program that has taken the daemon's place",
    async () => {
      await using temp = await tempDir();
      const program = temp.join("sociable");
      await copyFile(SOCIABLE, program);
      await using stage = await TakeoverHost.start(sample, {
        config: NO_FILL,
        command: [program, "serve"],
      });
      const { host } = stage;
      await using direct = stage.compare({ untilStopped: true, isDirect: true });
      await copyFile(SOCIABLE, `${program}.new`);
      await rename(`${program}.new`, program);
      expect(await host.serve.stop()).toBe(0);
      await host.serve.restart();
      expect(host.serve.recordsOf(TAKEN)).toHaveLength(1);
      const former = stage.keeperPid ?? 0;
      process.kill(former, "SIGKILL");
      await host.serve.saying("there is a keeper of mounts again");
      await Bun.sleep(100);
      expect(await direct.stop()).toMatchObject(ALL_RIGHT);
    },
    PATIENCE_MS,
  );

  test(
    "gets what it waited for also where the kernel cannot be asked again",
    async () => {
      await using stage = await TakeoverHost.start(sample, {
        config: NO_FILL,
        env: { SOCIABLE_FUSE_NO_RESEND: "1" },
      });
      const { host } = stage;
      await using cached = stage.compare({ untilStopped: true });
      await using direct = stage.compare({ untilStopped: true, isDirect: true, seed: 2 });
      host.proxy.stall();
      await using large = stage.compare({ paths: [LARGE], isDirect: true });
      await using random = stage.compare({ reads: 40, isDirect: true });
      await Bun.sleep(300);
      for (let i = 0; i < 3; i++) {
        await host.serve.kill();
        await host.serve.restart();
        await Bun.sleep(100 * i);
      }
      host.proxy.flow();
      expect(await large.result).toMatchObject(ALL_RIGHT);
      expect(await random.result).toMatchObject(ALL_RIGHT);
      expect(await cached.stop()).toMatchObject(ALL_RIGHT);
      expect(await direct.stop()).toMatchObject(ALL_RIGHT);
    },
    PATIENCE_MS,
  );

  test(
    "does not notice that the keeper was killed, nor the daemon behind it",
    async () => {
      await using stage = await TakeoverHost.start(sample, { config: NO_FILL });
      const { host } = stage;
      const first = stage.keeperPid ?? 0;
      await using direct = stage.compare({ untilStopped: true, isDirect: true });
      process.kill(first, "SIGKILL");
      await untilEnded(first);
      await host.serve.saying("there is a keeper of mounts again");
      expect(stage.keeperPid).not.toBe(first);
      await host.serve.kill();
      await host.serve.restart();
      await Bun.sleep(200);
      expect(await direct.stop()).toMatchObject(ALL_RIGHT);
    },
    PATIENCE_MS,
  );

  test.each([
    { title: "whose keeper does not answer", break: (pid: number) => process.kill(pid, "SIGSTOP") },
    {
      title: "whose keeper's socket is gone",
      break: (_: number, root: string) => rmSync(keeperPaths(root).socket),
    },
  ])(
    "goes on reading on a host $title",
    async ({ break: breakIt }) => {
      await using stage = await TakeoverHost.start(sample, { config: NO_FILL });
      const { host } = stage;
      await using direct = stage.compare({ untilStopped: true, isDirect: true });
      const former = stage.keeperPid ?? 0;
      breakIt(former, host.serve.root);
      await host.serve.kill();
      await host.serve.restart();
      expect(host.serve.recordsOf(TAKEN)).toHaveLength(1);
      await untilEnded(former);
      // The one that has taken its place is as good.
      await host.serve.kill();
      await host.serve.restart();
      expect(host.serve.recordsOf(TAKEN)).toHaveLength(2);
      expect(await direct.stop()).toMatchObject(ALL_RIGHT);
    },
    PATIENCE_MS,
  );

  test(
    "is told of in the log when daemon and keeper were both killed; others start",
    async () => {
      await using stage = await TakeoverHost.start(sample);
      const { host } = stage;
      process.kill(stage.keeperPid ?? 0, "SIGSTOP");
      await host.serve.kill();
      process.kill(stage.keeperPid ?? 0, "SIGKILL");
      await host.restartServe();
      expect(
        host.serve.recordsOf("container has lost its file system: it must be started again"),
      ).toHaveLength(1);
      expect(await host.run(stage.app.name, ["/bin/echo", "here"])).toBe("here\n");
    },
    PATIENCE_MS,
  );

  test(
    "gets errors, and does not wait for ever, when no daemon comes in time",
    async () => {
      await using stage = await TakeoverHost.start(sample, {
        config: `takeover_timeout_sec = 2\n${NO_FILL}`,
      });
      const { host } = stage;
      await host.serve.kill();
      await using direct = stage.compare({ isDirect: true, paths: [LARGE] });
      const failure: unknown = await direct.result.catch((error: unknown) => error);
      expect(JSON.stringify(failure instanceof Error ? failure.message : failure)).toMatch(
        /ENOTCONN|ECONNABORTED/,
      );
      expect(stage.keeperPid).toBeUndefined();
    },
    PATIENCE_MS,
  );

  test(
    "can be killed while it waits for a daemon",
    async () => {
      await using stage = await TakeoverHost.start(sample, { config: NO_FILL });
      const { host } = stage;
      host.proxy.stall();
      await using waiting = stage.compare({ isDirect: true, paths: [LARGE] });
      await Bun.sleep(300);
      await host.serve.kill();
      await using late = stage.compare({ isDirect: true, paths: [LARGE] });
      await Bun.sleep(300);
      expect(await waiting.killed()).toBeLessThan(2000);
      expect(await late.killed()).toBeLessThan(2000);
      host.proxy.flow();
    },
    PATIENCE_MS,
  );

  test(
    "loses its files when the daemon ends with --drain, which says so",
    async () => {
      await using stage = await TakeoverHost.start(sample, { flags: ["--drain"] });
      const { host } = stage;
      expect(await host.serve.stop()).toBe(0);
      expect(host.serve.recordsOf("containers lose their file system")).toHaveLength(1);
      const mounts = await host.ownMounts();
      expect(mounts.filter(({ type }) => type === "fuse.sociable")).toEqual([]);
      await untilEnded(stage.keeperPid ?? 1_000_000_000);
    },
    PATIENCE_MS,
  );
});
