import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { chmod } from "node:fs/promises";
import { pluginCheck, versionCheck } from "../../../src/install/checks/containerd-checks.ts";
import {
  clockCheck,
  diskCheck,
  diskFacts,
  fileSystemCheck,
  fuseDeviceCheck,
  kernelCheck,
  sharedMemoryCheck,
} from "../../../src/install/checks/host-checks.ts";
import { configCheck, socketCheck } from "../../../src/install/checks/service-checks.ts";
import { tempDir } from "../../support/temp-dir.ts";

const GiB = 1024 ** 3;
const DISK = {
  freeBytes: 50 * GiB,
  totalBytes: 100 * GiB,
  freeFiles: 1e6,
  totalFiles: 2e6,
  type: 0xef53,
};
const DAY_MS = 24 * 3600 * 1000;
const NOW = Date.UTC(2026, 0, 1);

describe("kernelCheck()", () => {
  test.each([
    { title: "is content with 6.18", release: "6.18.0-1-amd64", status: "ok" },
    { title: "warns of 6.1", release: "6.1.0-18-amd64", status: "warn" },
    { title: "warns of 5.4, the first that can mount", release: "5.4.0-1-amd64", status: "warn" },
    { title: "refuses 5.3", release: "5.3.18-lp152-default", status: "fail" },
    { title: "takes what has no version", release: "custom", status: "warn" },
  ] as const)("$title", ({ release, status }) => {
    expect(kernelCheck(release).status).toBe(status);
  });
});

describe("fileSystemCheck()", () => {
  test.each([
    { title: "finds one", text: "nodev\tsysfs\nnodev\toverlay\n\text4\n", status: "ok" },
    { title: "is not misled by part of a name", text: "nodev\toverlayx\n", status: "warn" },
  ] as const)("$title", ({ text, status }) => {
    expect(fileSystemCheck("overlay", text).status).toBe(status);
  });
});

describe("diskCheck()", () => {
  test.each([
    { title: "is content", facts: {}, status: "ok" },
    { title: "warns of little room", facts: { freeBytes: GiB }, status: "warn" },
    { title: "refuses a full disk", facts: { freeBytes: 1e6 }, status: "fail" },
    { title: "refuses a disk without inodes", facts: { freeFiles: 3 }, status: "fail" },
    {
      title: "takes one that counts no inodes",
      facts: { freeFiles: 0, totalFiles: 0 },
      status: "ok",
    },
    { title: "refuses a network's", facts: { type: 0x6969 }, status: "fail" },
    { title: "refuses an overlay", facts: { type: 0x794c7630 }, status: "fail" },
    { title: "warns of memory", facts: { type: 0x01021994 }, status: "warn" },
  ] as const)("$title", ({ facts, status }) => {
    expect(diskCheck("/var/lib/sociable", { ...DISK, ...facts }).status).toBe(status);
  });

  test("looks at the nearest directory that is there", async () => {
    await using dir = await tempDir();
    expect(diskFacts(dir.join("not/there")).totalBytes).toBe(diskFacts(dir.path).totalBytes);
  });
});

describe("clockCheck()", () => {
  test.each([
    { title: "is content", madeMs: NOW - DAY_MS, isSynchronized: true, status: "ok" },
    { title: "takes it where nobody says", madeMs: NOW, isSynchronized: undefined, status: "ok" },
    { title: "warns of one that nobody sets", madeMs: NOW, isSynchronized: false, status: "warn" },
    { title: "refuses the past", madeMs: NOW + 3 * DAY_MS, isSynchronized: true, status: "fail" },
  ] as const)("$title", ({ madeMs, isSynchronized, status }) => {
    expect(clockCheck({ nowMs: NOW, madeMs, isSynchronized }).status).toBe(status);
  });
});

test("fuseDeviceCheck() refuses a host without the device", () => {
  expect(fuseDeviceCheck("/dev/no-such-fuse")).toMatchObject({ status: "fail" });
});

test("sharedMemoryCheck() refuses a directory that is not there", () => {
  expect(sharedMemoryCheck("/dev/no-such-shm")).toMatchObject({ status: "fail" });
});

describe("versionCheck()", () => {
  test.each([
    { title: "takes Debian's 1.6", version: "1.6.20~ds1", status: "ok" },
    { title: "takes 2.1", version: "v2.1.0", status: "ok" },
    { title: "warns of 1.4", version: "1.4.13", status: "warn" },
  ] as const)("$title", ({ version, status }) => {
    expect(versionCheck(version).status).toBe(status);
  });
});

describe("pluginCheck()", () => {
  const plugin = {
    type: "io.containerd.snapshotter.v1",
    id: "sociable",
    exports: {},
    capabilities: [],
    initError: undefined,
  };

  test.each([
    { title: "takes one that works", version: "1.6.20", plugins: [plugin], status: "ok" },
    { title: "refuses none", version: "1.6.20", plugins: [], status: "fail" },
    {
      title: "refuses one that failed",
      version: "1.6.20",
      plugins: [{ ...plugin, initError: { code: 2, message: "no socket" } }],
      status: "fail",
    },
    {
      title: "warns of 2.1 that is not told to annotate",
      version: "2.1.0",
      plugins: [plugin],
      status: "warn",
    },
  ] as const)("$title", ({ version, plugins, status }) => {
    expect(pluginCheck("sociable", { plugins, version }).status).toBe(status);
  });
});

describe("configCheck()", () => {
  test.each([
    { title: "a right one", text: 'log_level = "debug"\n', status: "ok" },
    { title: "an unknown key", text: "no_such_key = 1\n", status: "warn" },
    { title: "a wrong value", text: 'log_level = "loud"\n', status: "fail" },
    { title: "no TOML", text: "= =\n", status: "fail" },
  ] as const)("judges $title", async ({ text, status }) => {
    await using dir = await tempDir();
    await writeFile(dir.join("config.toml"), text);
    expect(configCheck(dir.join("config.toml")).status).toBe(status);
  });

  test("needs no file", () => {
    expect(configCheck("/etc/no-such/config.toml").status).toBe("ok");
  });
});

describe("socketCheck()", () => {
  test("finds who listens, and whether others may connect", async () => {
    await using dir = await tempDir();
    await chmod(dir.path, 0o755);
    const path = dir.join("s.sock");
    expect(await socketCheck(path)).toMatchObject({ status: "fail" });
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(path, resolve);
    });
    await chmod(path, 0o600);
    expect(await socketCheck(path)).toMatchObject({ status: "ok" });
    await chmod(path, 0o666);
    expect(await socketCheck(path)).toMatchObject({ status: "fail" });
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });

  test("refuses what is no socket", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("s.sock"), "");
    expect(await socketCheck(dir.join("s.sock"))).toMatchObject({ status: "fail" });
  });
});
