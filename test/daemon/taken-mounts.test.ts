import { expect, test } from "bun:test";
import { mkdir, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { takeMounts } from "../../src/daemon/taken-mounts.ts";
import { FuseConnection } from "../../src/daemon/fuse-connection.ts";
import { MountRecords } from "../../src/daemon/mount-records.ts";
import type { HeldConnection } from "../../src/keeper/held-connections.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import { sysClose, sysMount } from "../../src/sys/libc.ts";
import { findMount } from "../../src/sys/mountinfo.ts";
import { describeAsRoot } from "../support/describe-as-root.ts";
import { rejectionOf } from "../support/failure.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { unmountBelow } from "../support/unmount-below.ts";

/** A mount as a daemon leaves it: with a descriptor, and a record. */
async function leftMount(temp: TempDir, name: string) {
  const directory = temp.join("mnt", name);
  await mkdir(directory, { recursive: true });
  const log = createLogger({ sink: () => undefined });
  const connection = await FuseConnection.open({
    directory,
    name: "test",
    allowOther: true,
    acls: false,
    log,
  });
  const { device, negotiated, fd } = connection;
  const records = new MountRecords(temp.path);
  await records.putChains({
    directory,
    type: "fuse.sociable",
    device,
    negotiated,
    features: { xattrs: false, acls: false },
    ids: undefined,
    mtimeMs: 1,
    layers: [],
    chains: [],
  });
  return { fd, device, directory, resends: true };
}

async function openHost() {
  const temp = await tempDir();
  const logged: LogRecord[] = [];
  let asked = 0;
  return {
    temp,
    logged,
    /** How often what is held was taken. */
    asked: () => asked,
    take: (held: readonly HeldConnection[]) =>
      takeMounts({
        directory: temp.join("mnt"),
        takeHeld: async () => {
          asked += 1;
          return held;
        },
        records: new MountRecords(temp.path),
        log: createLogger({ sink: (record) => logged.push(record) }),
      }),
    [Symbol.asyncDispose]: async () => {
      await unmountBelow(temp.path);
      await temp[Symbol.asyncDispose]();
    },
  };
}

/** Whether this process has it open; what has its number next is no FUSE connection here. */
async function isOpen(fd: number): Promise<boolean> {
  return (await readlink(`/proc/self/fd/${fd}`).catch(() => "")) === "/dev/fuse";
}

function recordPath(temp: TempDir, device: string): string {
  return temp.join("mounts", `${device.replace(":", "-")}.json`);
}

describeAsRoot("takeMounts()", () => {
  test("gives what has a descriptor and a record, by directory", async () => {
    await using host = await openHost();
    const plain = await leftMount(host.temp, "plain");
    const { mounts, lost } = await host.take([plain]);
    expect([...mounts.keys()]).toEqual([plain.directory]);
    expect(mounts.get(plain.directory)).toMatchObject({
      fd: plain.fd,
      record: { device: plain.device },
    });
    expect([...lost]).toEqual([]);
    sysClose(plain.fd);
  });

  test("takes a mount away of which there is no descriptor", async () => {
    await using host = await openHost();
    const { fd, directory } = await leftMount(host.temp, "plain");
    const { mounts, lost } = await host.take([]);
    expect([mounts.size, [...lost]]).toEqual([0, [directory]]);
    expect(await findMount(directory)).toBeUndefined();
    sysClose(fd);
  });

  test.each([
    { title: "damaged", text: "{" },
    { title: "empty", text: "" },
    { title: "cut", text: '{"version":2,"kind":"chains","direc' },
  ])("takes a mount away whose record is $title, and says so", async ({ text }) => {
    await using host = await openHost();
    const plain = await leftMount(host.temp, "plain");
    await writeFile(recordPath(host.temp, plain.device), text);
    const { mounts, lost } = await host.take([plain]);
    expect([mounts.size, [...lost]]).toEqual([0, [plain.directory]]);
    expect(host.logged.map(({ message }) => message)).toContain("record of a mount cannot be used");
    expect(await isOpen(plain.fd)).toBe(false);
  });

  test("changes nothing, and asks no keeper, when a newer version has written one of the records", async () => {
    await using host = await openHost();
    const plain = await leftMount(host.temp, "plain");
    const other = await leftMount(host.temp, "xattrs");
    const stray = await leftMount(host.temp, "acls");
    await writeFile(recordPath(host.temp, other.device), '{"version":99,"kind":"chains"}');
    expect(await rejectionOf(host.take([plain, other]))).toMatchObject({
      kind: "failed-precondition",
    });
    for (const { directory } of [plain, other, stray]) {
      expect(await findMount(directory)).toBeDefined();
    }
    expect(host.asked()).toBe(0);
    for (const { fd } of [plain, other, stray]) sysClose(fd);
  });

  test("passes over a descriptor whose mount is no more", async () => {
    await using host = await openHost();
    const plain = await leftMount(host.temp, "plain");
    await unmountBelow(host.temp.path);
    const { mounts, lost } = await host.take([plain]);
    expect([mounts.size, lost.size]).toEqual([0, 0]);
    expect(await isOpen(plain.fd)).toBe(false);
  });

  test("takes a mount away that has been aborted", async () => {
    await using host = await openHost();
    const plain = await leftMount(host.temp, "plain");
    const control = host.temp.join("control");
    await mkdir(control);
    sysMount({ source: "none", target: control, type: "fusectl", flags: 0, data: "" });
    await writeFile(join(control, `${plain.device.split(":")[1]}/abort`), "1");
    const { mounts, lost } = await host.take([plain]);
    expect([mounts.size, [...lost]]).toEqual([0, [plain.directory]]);
  });
});
