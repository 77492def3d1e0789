import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { Reviver } from "../../src/keeper/reviver.ts";
import { createLogger } from "../../src/observability/log.ts";
import { tempDir } from "../support/temp-dir.ts";

const PATIENCE_MS = 10_000;

/** One whose servers write a line each, and end when they are let go. */
async function openReviver(command?: readonly string[]) {
  const temp = await tempDir();
  const logged: string[] = [];
  const reviver = new Reviver({
    command: command ?? [
      "sh",
      "-c",
      'echo "$WHO $(pwd)" >> starts; while [ ! -e go ]; do sleep 0.01; done; echo >> ends',
    ],
    cwd: temp.path,
    env: { PATH: process.env["PATH"], WHO: "child" },
    asGiven: (start) => {
      logged.push("given");
      return start();
    },
    log: createLogger({ sink: ({ message }) => logged.push(message) }),
  });
  const linesIn = (name: string) =>
    existsSync(temp.join(name)) ? readFileSync(temp.join(name), "utf8").split("\n").length - 1 : 0;
  const starts = () => linesIn("starts");
  /** Lets those end that run; they are children of nobody here. */
  const end = async () => {
    await Bun.write(temp.join("go"), "");
    while (command === undefined && linesIn("ends") < starts()) await Bun.sleep(5);
    await Bun.sleep(50);
  };
  return {
    temp,
    reviver,
    logged,
    starts,
    end,
    started: async (count: number) => {
      const deadline = performance.now() + PATIENCE_MS;
      while (starts() < count && performance.now() < deadline) await Bun.sleep(5);
      expect(starts()).toBe(count);
    },
    [Symbol.asyncDispose]: async () => {
      await end();
      reviver[Symbol.dispose]();
      await temp[Symbol.asyncDispose]();
    },
  };
}

describe("Reviver", () => {
  test("starts a server where and as it is told", async () => {
    await using opened = await openReviver();
    const { reviver, temp, started, logged } = opened;
    reviver.revive(1000);
    await started(1);
    expect(await Bun.file(temp.join("starts")).text()).toBe(`child ${temp.path}\n`);
    expect(logged).toEqual(["server of a mount has ended and is started again", "given"]);
  });

  test("starts none beside one that runs, and the next when that has ended", async () => {
    await using opened = await openReviver();
    const { reviver, started, end } = opened;
    reviver.revive(1000);
    await started(1);
    reviver.revive(100_000);
    await Bun.sleep(50);
    await started(1);
    await end();
    reviver.revive(200_000);
    await started(2);
  });

  test("starts none beside a server that is no child of it", async () => {
    await using opened = await openReviver();
    const { reviver, started } = opened;
    const other = Bun.spawn(["sleep", "60"]);
    reviver.serves(other.pid);
    reviver.revive(1000);
    await Bun.sleep(50);
    await started(0);
    other.kill("SIGKILL");
    await other.exited;
    reviver.revive(2000);
    await started(1);
  });

  test("starts them less and less often, until one has lived", async () => {
    await using opened = await openReviver(["sh", "-c", "echo >> starts"]);
    const { reviver, started } = opened;
    let count = 0;
    /** Milliseconds until the next is started. */
    const gap = async (from: number) => {
      for (let ms = 0; ms <= 10_000; ms += 100) {
        await Bun.sleep(1);
        reviver.revive(from + ms);
        await Bun.sleep(1);
        if (opened.logged.filter((line) => line === "given").length > count) {
          count += 1;
          await started(count);
          await Bun.sleep(50);
          return ms;
        }
      }
      throw new Error("none is started");
    };
    let at = 1000;
    const gaps: number[] = [];
    for (let i = 0; i < 8; i++) {
      const ms = await gap(at);
      gaps.push(ms);
      at += ms;
    }
    expect(gaps).toEqual([0, 100, 300, 700, 1500, 3100, 5000, 5000]);
    reviver.hasLived();
    expect(await gap(at)).toBe(0);
  });

  test("says that there is no such program, and tries again later", async () => {
    await using opened = await openReviver(["/nowhere/sociable"]);
    const { reviver, logged } = opened;
    reviver.revive(1000);
    reviver.revive(1001);
    reviver.revive(1100);
    const failed = logged.filter((line) => line === "server of a mount cannot be started");
    expect(failed).toHaveLength(2);
  });
});
