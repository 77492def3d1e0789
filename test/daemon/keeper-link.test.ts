import { expect, test } from "bun:test";
import { describe } from "bun:test";
import { KeeperLink } from "../../src/daemon/keeper-link.ts";
import { KeeperClient } from "../../src/keeper/keeper-client.ts";
import { keeperPidOf } from "../../src/keeper/keeper-lock.ts";
import { keeperPaths } from "../../src/keeper/keeper-paths.ts";
import { createLogger } from "../../src/observability/log.ts";
import { sysClose, sysEventfd } from "../../src/sys/libc.ts";
import { SELF, untilEnded } from "../support/keeper-process.ts";
import { endKeeper } from "../support/takeover-host.ts";
import { tempDir } from "../support/temp-dir.ts";

const PATIENCE_MS = 20_000;

/** A daemon's place, with connections that are none. Devices are such that no machine has. */
async function openPlace() {
  await using resources = new AsyncDisposableStack();
  const temp = resources.use(await tempDir());
  resources.defer(() => endKeeper(temp.path));
  const fds: number[] = [];
  resources.defer(() => {
    for (const fd of fds) sysClose(fd);
  });
  const logged: string[] = [];
  const log = createLogger({ sink: ({ message }) => logged.push(message), level: "debug" });
  const owned = resources.move();
  return {
    root: temp.path,
    logged,
    client: new KeeperClient(keeperPaths(temp.path).socket),
    link: (self: readonly string[] = SELF) =>
      new KeeperLink({ root: temp.path, self, timeoutMs: 60_000, log }),
    connection: (minor: number) => {
      const fd = sysEventfd();
      fds.push(fd);
      return { fd, device: `0:${4_000_000_000 + minor}`, directory: "/nowhere", resends: false };
    },
    pid: () => keeperPidOf(keeperPaths(temp.path).lock) ?? 0,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error("it does not come to that");
    await Bun.sleep(10);
  }
}

/** Devices that the keeper holds. */
async function heldBy(client: KeeperClient): Promise<readonly string[]> {
  const held = await client.takeAll();
  for (const { fd } of held) sysClose(fd);
  return held.map(({ device }) => device);
}

describe("KeeperLink", () => {
  test("has the keeper hold what was kept before and after it is there", async () => {
    await using place = await openPlace();
    await using link = place.link();
    const [one, two, three] = [1, 2, 3].map(place.connection);
    if (one === undefined || two === undefined || three === undefined) throw new Error("three");
    await link.keep(one);
    await link.keep(two);
    await link.forget(two.device);
    expect(link.isKeeping).toBe(false);
    await link.connect();
    expect(link.isKeeping).toBe(true);
    await link.keep(three);
    expect(await heldBy(place.client)).toEqual([one.device, three.device]);
    await link.forget(one.device);
    expect(await heldBy(place.client)).toEqual([three.device]);
  });

  test("gives the next daemon what this one has left; what that does not keep goes", async () => {
    await using place = await openPlace();
    const first = place.link();
    await first.connect();
    const [one, two] = [1, 2].map(place.connection);
    if (one === undefined || two === undefined) throw new Error("two");
    await first.keep(one);
    await first.keep(two);
    await first[Symbol.asyncDispose]();
    await using second = place.link();
    const taken = await second.takeAll();
    expect(taken.map(({ device }) => device)).toEqual([one.device, two.device]);
    const [again] = taken;
    if (again === undefined) throw new Error("one");
    await second.keep(again);
    await second.connect();
    expect(await heldBy(place.client)).toEqual([one.device]);
    for (const { fd } of taken) sysClose(fd);
  });

  test("starts another keeper when that is killed, with all that it had", async () => {
    await using place = await openPlace();
    await using link = place.link();
    await link.connect();
    const one = place.connection(1);
    await link.keep(one);
    const first = place.pid();
    process.kill(first, "SIGKILL");
    await untilEnded(first);
    await until(() => place.logged.includes("there is a keeper of mounts again"));
    expect(place.pid()).not.toBe(first);
    expect(await heldBy(place.client)).toEqual([one.device]);
  });

  test("replaces a keeper that does not answer", async () => {
    await using place = await openPlace();
    await using link = place.link();
    await link.connect();
    const first = place.pid();
    process.kill(first, "SIGSTOP");
    const one = place.connection(1);
    await link.keep(one);
    await until(() => link.isKeeping);
    await untilEnded(first);
    expect(await heldBy(place.client)).toEqual([one.device]);
  }, 60_000);

  test("goes on without one that cannot be started, and says so", async () => {
    await using place = await openPlace();
    await using link = place.link(["/bin/false"]);
    await link.connect();
    await link.keep(place.connection(1));
    expect(link.isKeeping).toBe(false);
    expect(place.logged).toContain("there is no keeper: mounts will not outlive this daemon");
    expect(await link.takeAll()).toEqual([]);
  });

  test("disposed of twice, and in the middle of a start, it is at peace", async () => {
    await using place = await openPlace();
    const link = place.link();
    const connecting = link.connect();
    await link[Symbol.asyncDispose]();
    await link[Symbol.asyncDispose]();
    await connecting;
    expect(link.isKeeping).toBe(false);
  });
});
