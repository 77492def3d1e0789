import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KEEPER_VERSION } from "../../src/keeper/keeper-message.ts";
import { KeeperClient } from "../../src/keeper/keeper-client.ts";
import { keeperPidOf } from "../../src/keeper/keeper-lock.ts";
import { keeperPaths } from "../../src/keeper/keeper-paths.ts";
import { startKeeper } from "../../src/keeper/start-keeper.ts";
import { sysClose, sysEventfd, sysRead, sysWrite } from "../../src/sys/libc.ts";
import { connectForMessages } from "../../src/sys/message-socket.ts";
import { receiveDescriptors, sendMessage } from "../../src/sys/pass-descriptors.ts";
import { rejectionOf } from "../support/failure.ts";
import { KeeperProcess, SELF, untilEnded } from "../support/keeper-process.ts";
import { tempDir } from "../support/temp-dir.ts";

// Devices that no machine has: what is aborted here is nobody's.
const ONE = { device: "0:4000000001", directory: "/nowhere/one", resends: false };
const TWO = { device: "0:4000000002", directory: "/nowhere/two", resends: true };

async function openKeeper(timeoutMs?: number) {
  await using resources = new AsyncDisposableStack();
  const temp = resources.use(await tempDir());
  const keeper = resources.use(await KeeperProcess.start(temp.path, timeoutMs));
  const owned = resources.move();
  return {
    temp,
    keeper,
    client: keeper.client,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** An eventfd that has been written to: who has a copy can tell. */
function newCounter(value: number): number {
  const fd = sysEventfd();
  sysWrite(fd, new Uint8Array(new BigUint64Array([BigInt(value)]).buffer));
  return fd;
}

function countIn(fd: number): number {
  const bytes = new Uint8Array(8);
  sysRead(fd, bytes);
  return Number(new DataView(bytes.buffer).getBigUint64(0, true));
}

/** Descriptors of a process. */
function countOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

async function give(client: KeeperClient, facts: typeof ONE, value: number): Promise<void> {
  const fd = newCounter(value);
  await client.put({ fd, ...facts });
  sysClose(fd);
}

describe("a keeper", () => {
  test("gives back the descriptors that it was given, with what they are of", async () => {
    await using opened = await openKeeper();
    const { client } = opened;
    await give(client, TWO, 22);
    await give(client, ONE, 11);
    const taken = await client.takeAll();
    expect(taken.map(({ fd: _, ...facts }) => facts)).toEqual([ONE, TWO]);
    expect(taken.map(({ fd }) => countIn(fd))).toEqual([11, 22]);
    for (const { fd } of taken) sysClose(fd);
  });

  test("holds one descriptor for a device, the last", async () => {
    await using opened = await openKeeper();
    const { client } = opened;
    await give(client, ONE, 1);
    await give(client, ONE, 2);
    const taken = await client.takeAll();
    expect(taken.map(({ fd }) => countIn(fd))).toEqual([2]);
    for (const { fd } of taken) sysClose(fd);
  });

  test("closes what is dropped", async () => {
    await using opened = await openKeeper();
    const { client } = opened;
    await give(client, ONE, 1);
    await client.drop(ONE.device);
    await client.drop(TWO.device);
    expect(await client.takeAll()).toEqual([]);
  });

  test("leaves no descriptors behind in either process", async () => {
    await using opened = await openKeeper();
    const { client, keeper } = opened;
    const counts = async () => {
      // It hears of the end of our last connection a moment later.
      await Bun.sleep(50);
      return [countOf(keeper.pid), countOf(process.pid)];
    };
    for (let i = 0; i < 3; i++) await give(client, ONE, 1);
    const before = await counts();
    for (let i = 0; i < 20; i++) {
      await give(client, ONE, 1);
      for (const { fd } of await client.takeAll()) sysClose(fd);
    }
    expect(await counts()).toEqual(before);
  });

  test("is one for two who start it at the same time", async () => {
    await using temp = await tempDir();
    const options = { root: temp.path, self: SELF, timeoutMs: 60_000 };
    const started = await Promise.all([startKeeper(options), startKeeper(options)]);
    await using keeper = await KeeperProcess.start(temp.path);
    expect(started.map(({ pid }) => pid)).toEqual([keeper.pid, keeper.pid]);
    expect(keeperPidOf(keeperPaths(temp.path).lock)).toBe(keeper.pid);
  });

  test("is in no session or process group of ours, and only its user may speak to it", async () => {
    await using opened = await openKeeper();
    const { keeper, temp } = opened;
    const fields =
      readFileSync(`/proc/${keeper.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    expect(fields.slice(2, 4)).toEqual([String(keeper.pid), String(keeper.pid)]);
    expect(statSync(keeperPaths(temp.path).socket).mode & 0o777).toBe(0o600);
  });

  test("works below a path that is longer than a socket's name may be", async () => {
    await using temp = await tempDir();
    const root = temp.join("d".repeat(120));
    mkdirSync(root);
    await using keeper = await KeeperProcess.start(root);
    expect(await keeper.client.status()).toMatchObject({ pid: keeper.pid, held: 0 });
  });

  test("takes the place of a dead one whose socket and lock are still there", async () => {
    await using temp = await tempDir();
    await using first = await KeeperProcess.start(temp.path);
    await first.kill();
    expect(keeperPidOf(keeperPaths(temp.path).lock)).toBeUndefined();
    await using second = await KeeperProcess.start(temp.path);
    expect(second.pid).not.toBe(first.pid);
  });

  test("that cannot be started is said", async () => {
    await using temp = await tempDir();
    const starting = startKeeper({ root: temp.path, self: ["/bin/false"], timeoutMs: 1 });
    expect(await rejectionOf(starting)).toMatchObject({ kind: "unavailable" });
  });

  test("that is not there is not found", async () => {
    await using temp = await tempDir();
    const client = new KeeperClient(keeperPaths(temp.path).socket);
    expect(await rejectionOf(client.status())).toMatchObject({ kind: "not-found" });
    writeFileSync(keeperPaths(temp.path).socket, "");
    expect(await rejectionOf(client.status())).toMatchObject({ kind: "not-found" });
  });
});

describe("a keeper without a daemon", () => {
  test("ends when there is nothing to keep", async () => {
    await using opened = await openKeeper();
    const { client, keeper } = opened;
    (await client.lease(60_000))[Symbol.dispose]();
    await keeper.ended();
  });

  test("gives up after the time that the last daemon said", async () => {
    await using opened = await openKeeper();
    const { client, keeper } = opened;
    const lease = await client.lease(100);
    await give(client, ONE, 1);
    lease[Symbol.dispose]();
    await keeper.ended();
  });

  test("waits as long for the first that never comes", async () => {
    await using opened = await openKeeper(200);
    await give(opened.client, ONE, 1);
    await opened.keeper.ended();
  });

  test("goes on for the next one that comes in time", async () => {
    await using opened = await openKeeper();
    const { client, keeper } = opened;
    const first = await client.lease(1500);
    await give(client, ONE, 1);
    first[Symbol.dispose]();
    using _second = await client.lease(60_000);
    await Bun.sleep(2500);
    expect(keeper.isRunning).toBe(true);
    expect(await client.status()).toMatchObject({ held: 1, isLeased: true });
  });

  test("is not kept by a daemon whose place another has taken", async () => {
    await using opened = await openKeeper();
    const { client } = opened;
    using first = await client.lease(60_000);
    using _second = await client.lease(60_000);
    first[Symbol.dispose]();
    await Bun.sleep(50);
    expect(await client.status()).toMatchObject({ isLeased: true });
  });

  test("ends with its state directory", async () => {
    await using temp = await tempDir();
    const root = temp.join("root");
    mkdirSync(root);
    await using keeper = await KeeperProcess.start(root);
    await give(keeper.client, ONE, 1);
    await Bun.$`rm -r ${root}`;
    await keeper.ended();
  });

  test("ends when it is asked to", async () => {
    await using opened = await openKeeper();
    const { client, keeper } = opened;
    await give(client, ONE, 1);
    await keeper.kill("SIGTERM");
  });
});

describe("a keeper with a daemon", () => {
  test("does not end when it is asked to", async () => {
    await using opened = await openKeeper();
    const { client, keeper } = opened;
    using _lease = await client.lease(60_000);
    await give(client, ONE, 1);
    process.kill(keeper.pid, "SIGTERM");
    await Bun.sleep(200);
    expect(await client.status()).toMatchObject({ held: 1 });
  });

  test("has forgotten that it was asked to end when that daemon ends, too", async () => {
    await using opened = await openKeeper();
    const { client, keeper } = opened;
    const lease = await client.lease(60_000);
    await give(client, ONE, 1);
    for (let i = 0; i < 2; i++) {
      process.kill(keeper.pid, "SIGTERM");
      // An answer comes after the signal has been heard.
      await client.status();
      await client.status();
    }
    lease[Symbol.dispose]();
    while ((await client.status()).isLeased) await Bun.sleep(5);
    await Bun.sleep(50);
    expect(await client.status()).toMatchObject({ held: 1, isLeased: false });
    await keeper.kill("SIGTERM");
  });

  test("tells it when it ends", async () => {
    await using opened = await openKeeper();
    const { client, keeper } = opened;
    using lease = await client.lease(60_000);
    await keeper.kill();
    await lease.ended;
  });

  test("tells nothing when the daemon gives its lease up itself", async () => {
    await using opened = await openKeeper();
    const lease = await opened.client.lease(60_000);
    lease[Symbol.dispose]();
    lease[Symbol.dispose]();
    await lease.ended;
  });

  test("gives up what it is told to", async () => {
    await using opened = await openKeeper();
    const { client } = opened;
    using _lease = await client.lease(60_000);
    await give(client, ONE, 1);
    await give(client, TWO, 2);
    await client.abort(ONE.device);
    expect(await client.status()).toMatchObject({ held: 1 });
    await client.abort();
    expect(await client.status()).toMatchObject({ held: 0 });
  });
});

describe("a keeper that is told nonsense", () => {
  const encoder = new TextEncoder();
  test.each([
    { title: "text", bytes: encoder.encode("GET / HTTP/1.1\r\n\r\n") },
    { title: "one byte", bytes: Uint8Array.of(1) },
    { title: "a longer message than any", bytes: new Uint8Array(20_000) },
    {
      title: "another version",
      bytes: Uint8Array.of(0x53, 0x4b, 0x45, 0x50, KEEPER_VERSION + 1, 4),
    },
    {
      title: "a put without a descriptor",
      bytes: Buffer.concat([
        Uint8Array.of(0x53, 0x4b, 0x45, 0x50, KEEPER_VERSION, 0),
        Uint8Array.of(3, 0),
        encoder.encode("0:1"),
        Uint8Array.of(2, 0),
        encoder.encode("/a"),
        Uint8Array.of(0),
      ]),
    },
  ])("refuses $title and goes on", async ({ bytes }) => {
    await using opened = await openKeeper();
    const { keeper, client } = opened;
    const socket = connectForMessages(keeperPaths(keeper.root).socket);
    try {
      expect(sendMessage(socket, bytes)).toBe(true);
      let answer = receiveDescriptors(socket, { maxBytes: 9000 });
      while (answer === undefined) {
        await Bun.sleep(1);
        answer = receiveDescriptors(socket, { maxBytes: 9000 });
      }
      // "refused" is the fifth.
      expect(answer.bytes[5]).toBe(4);
    } finally {
      sysClose(socket);
    }
    expect(await client.status()).toMatchObject({ held: 0 });
  });

  test("closes descriptors that come unasked", async () => {
    await using opened = await openKeeper();
    const { keeper, client } = opened;
    await client.status();
    await Bun.sleep(50);
    const before = countOf(keeper.pid);
    const socket = connectForMessages(keeperPaths(keeper.root).socket);
    sendMessage(socket, Uint8Array.of(9, 9), [0, 1, 2]);
    sendMessage(socket, Uint8Array.of(9, 9), [0]);
    sysClose(socket);
    await client.status();
    await Bun.sleep(50);
    expect(countOf(keeper.pid)).toBe(before);
  });
});

test("a server that dies whenever it serves is not started for ever", async () => {
  await using temp = await tempDir();
  const name = "short";
  const logFile = temp.join("log");
  const { pid } = await startKeeper({
    root: temp.path,
    name,
    self: [process.execPath, join(import.meta.dirname, "short-lived-main.ts")],
    timeoutMs: 2000,
    revival: { argv: [temp.path, name], cwd: "/", env: { PATH: process.env["PATH"] } },
    logFile,
  });
  await give(new KeeperClient(keeperPaths(temp.path, name).socket), ONE, 1);
  await untilEnded(pid);
  const lines = readFileSync(logFile, "utf8").split("\n");
  const starts = lines.filter((line) => line.includes("is started again")).length;
  expect(starts).toBeGreaterThan(1);
  expect(starts).toBeLessThan(8);
  expect(lines.some((line) => line.startsWith("no daemon has come"))).toBe(true);
  expect(readdirSync(temp.join("keepers"))).toEqual([]);
});
