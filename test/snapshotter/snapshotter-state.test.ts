import { expect, test } from "bun:test";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SociError } from "../../src/errors.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import { Metastore } from "../../src/snapshotter/metastore.ts";
import { Snapshotter } from "../../src/snapshotter/snapshotter.ts";
import { upperOf } from "../support/snapshot-paths.ts";
import { FakeLayerMounter, servedLayer } from "../support/fake-layer-mounter.ts";
import { rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";
import { openDirectly } from "./opened-snapshotter.ts";
import { layerDigest, layerToMake, serveLayers, targetOf } from "./sample-layer.ts";

test("Snapshotter.open() brings back what the last one had, layers and stacks in order", async () => {
  await using dir = await tempDir();
  const labels = {
    "containerd.io/snapshot/uidmapping": "0:0:10",
    "containerd.io/snapshot/gidmapping": "0:0:10",
  };
  let before: unknown;
  {
    await using opened = await openDirectly({ dir });
    const parent = await serveLayers(opened, "a", "b");
    await opened.calls.prepare({ key: "local", parent });
    await opened.calls.commit("local", "above");
    await opened.calls.prepare({ key: "container", parent: "above" });
    await opened.calls.view({ key: "view", parent, labels });
    before = await opened.calls.list();
  }
  await using opened = await openDirectly({ dir });
  expect(await opened.calls.list()).toEqual(before as []);
  const { mounter } = opened;
  expect([...mounter.layers.values()].map(({ digest }) => digest).toSorted()).toEqual(
    [layerDigest("a"), layerDigest("b")].toSorted(),
  );
  expect(mounter.restored?.stacks.map(({ layers }) => layers.map(({ digest }) => digest))).toEqual([
    [layerDigest("a"), layerDigest("b")],
    [layerDigest("a"), layerDigest("b")],
  ]);
  const run = { containerId: 0, hostId: 0, length: 10 };
  expect(mounter.restored?.stacks.map(({ options }) => options.ids)).toEqual([
    undefined,
    { uids: [run], gids: [run] },
  ]);
  await opened.calls.remove("container");
  await opened.calls.remove("view");
  expect(mounter.stacks.size).toBe(0);
});

test("Snapshotter gives the mounter an id once only, also after it was opened again", async () => {
  await using dir = await tempDir();
  const seen: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    await using opened = await openDirectly({ dir });
    await serveLayers(opened, "a");
    seen.push(...opened.mounter.layers.keys());
    await opened.calls.remove(targetOf("a"));
  }
  expect(new Set(seen).size).toBe(3);
});

test("Snapshotter.cleanup() removes directories that no row names", async () => {
  await using opened = await openDirectly();
  await opened.calls.prepare({ key: "a" });
  const kept = await readdir(join(opened.root, "snapshots"));
  for (const name of ["777", "new-abc", "gone-abc", "1_2"]) {
    await mkdir(join(opened.root, "snapshots", name, "fs"), { recursive: true });
    await writeFile(join(opened.root, "snapshots", name, "fs", "file"), "");
  }
  await opened.calls.cleanup();
  expect(await readdir(join(opened.root, "snapshots"))).toEqual(kept);
});

test("Snapshotter.open() removes what a process that was killed was making, or removing", async () => {
  await using dir = await tempDir();
  let kept: readonly string[];
  let root: string;
  {
    await using opened = await openDirectly({ dir });
    root = join(opened.root, "snapshots");
    await opened.calls.prepare({ key: "a" });
    kept = await readdir(root);
  }
  for (const name of ["new-abc", "gone-abc"]) {
    await mkdir(join(root, name, "fs"), { recursive: true });
  }
  await (await openDirectly({ dir }))[Symbol.asyncDispose]();
  expect(await readdir(root)).toEqual([...kept]);
});

test("Snapshotter puts a directory out of the way that a crash has left under the next id", async () => {
  await using opened = await openDirectly();
  await mkdir(join(opened.root, "snapshots", "1", "fs"), { recursive: true });
  await writeFile(join(opened.root, "snapshots", "1", "fs", "old"), "");
  const upper = upperOf(await opened.calls.prepare({ key: "a" }));
  expect(upper).toBe(join(opened.root, "snapshots", "1", "fs"));
  expect(await readdir(upper)).toEqual([]);
  await opened.calls.cleanup();
  expect(await readdir(join(opened.root, "snapshots"))).toEqual(["1"]);
});

test("Snapshotter makes no row where it can make no directory", async () => {
  await using opened = await openDirectly();
  await rm(join(opened.root, "snapshots"), { recursive: true });
  await writeFile(join(opened.root, "snapshots"), "");
  expect(await rejectionOf(opened.calls.prepare({ key: "a" }))).toMatchObject({ kind: "internal" });
  expect(await opened.calls.list()).toEqual([]);
});

test("Snapshotter says which directory is gone below a snapshot", async () => {
  await using opened = await openDirectly();
  const upper = upperOf(await opened.calls.prepare({ key: "a" }));
  await opened.calls.commit("a", "one");
  await rm(upper, { recursive: true });
  expect(await rejectionOf(opened.calls.prepare({ key: "b", parent: "one" }))).toMatchObject({
    kind: "data-loss",
    message: expect.stringContaining(upper),
  });
});

test("Snapshotter leaves nothing behind after many rounds", async () => {
  await using opened = await openDirectly();
  for (let round = 0; round < 100; round += 1) {
    const parent = await serveLayers(opened, "a", "b");
    await opened.calls.prepare({ key: "c", parent });
    await opened.calls.commit("c", "d");
    for (const name of ["d", targetOf("b"), targetOf("a")]) await opened.calls.remove(name);
  }
  await opened.calls.cleanup();
  expect(await opened.calls.list()).toEqual([]);
  expect(await readdir(join(opened.root, "snapshots"))).toEqual([]);
  expect(opened.mounter.layers.size + opened.mounter.stacks.size).toBe(0);
});

test("Snapshotter, closed, ends what waits and refuses what comes", async () => {
  await using dir = await tempDir();
  const mounter = new FakeLayerMounter(dir.join("shown"));
  const asked = Promise.withResolvers<void>();
  mounter.answer = async (request, signal) => {
    asked.resolve();
    await new Promise((resolve) => signal?.addEventListener("abort", resolve));
    return { kind: "served", layer: servedLayer(request), isWhole: false, hasIndex: false };
  };
  const metastore = Metastore.open(dir.join("snapshots.sqlite"));
  const snapshotter = await Snapshotter.open({ root: dir.path, metastore, mounter });
  const { key, ...layer } = layerToMake("a");
  const outcome = rejectionOf(
    snapshotter.prepare({ labels: {}, ...layer, name: key, namespace: "test" }),
  );
  await asked.promise;
  await snapshotter[Symbol.asyncDispose]();
  expect(await outcome).toMatchObject({ kind: "unavailable" });
  expect(await rejectionOf(snapshotter.stat("a"))).toMatchObject({ kind: "unavailable" });
  await snapshotter[Symbol.asyncDispose]();
  using again = Metastore.open(dir.join("snapshots.sqlite"));
  expect(again.ids()).toEqual([]);
});

test("Snapshotter has the rows of new snapshots synced behind the call, and ends when that is done", async () => {
  await using dir = await tempDir();
  const mounter = new FakeLayerMounter(dir.join("shown"));
  const metastore = Metastore.open(dir.join("snapshots.sqlite"));
  const events: string[] = [];
  const disk = Promise.withResolvers<void>();
  metastore.sync = async () => {
    events.push(`sync of ${metastore.ids().length}`);
    await disk.promise;
    events.push("synced");
  };
  const snapshotter = await Snapshotter.open({ root: dir.path, metastore, mounter });
  await snapshotter.prepare({ name: "a", labels: {} });
  expect(events).toEqual(["sync of 1"]);
  const closing = snapshotter[Symbol.asyncDispose]().then(() => events.push("closed"));
  disk.resolve();
  await closing;
  expect(events).toEqual(["sync of 1", "synced", "closed"]);
});

test("Snapshotter gives a new snapshot also where it cannot be synced, and says so", async () => {
  await using dir = await tempDir();
  const mounter = new FakeLayerMounter(dir.join("shown"));
  const metastore = Metastore.open(dir.join("snapshots.sqlite"));
  metastore.sync = async () => {
    throw new SociError("internal", "no disk");
  };
  const records: LogRecord[] = [];
  const log = createLogger({ level: "debug", sink: (record) => records.push(record) });
  const snapshotter = await Snapshotter.open({ root: dir.path, metastore, mounter, log });
  await snapshotter.prepare({ name: "a", labels: {} });
  await snapshotter[Symbol.asyncDispose]();
  expect(records.map(({ level, message }) => [level, message])).toEqual([
    ["error", "new snapshots may be lost with the power"],
  ]);
});

test("Snapshotter.open() closes its database when the mounter cannot restore", async () => {
  await using dir = await tempDir();
  const mounter = new FakeLayerMounter(dir.join("shown"));
  mounter.restore = async () => {
    throw new Error("no");
  };
  const metastore = Metastore.open(dir.join("snapshots.sqlite"));
  const error = await rejectionOf(Snapshotter.open({ root: dir.path, metastore, mounter }));
  expect(error).toMatchObject({ message: "no" });
  using again = Metastore.open(dir.join("snapshots.sqlite"));
  expect(again.ids()).toEqual([]);
});
