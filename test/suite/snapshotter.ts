import { describe, expect, test } from "bun:test";
import { link, mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { OpenedSnapshotter, SnapshotCalls } from "../snapshotter/opened-snapshotter.ts";
import { optionOf, upperOf } from "../support/snapshot-paths.ts";
import { rejectionOf } from "../support/failure.ts";
import { commitLayer, describeSnapshotRecords, nanoseconds } from "./snapshot-records.ts";

export interface SnapshotterSuite {
  readonly name: string;
  readonly open: () => Promise<OpenedSnapshotter>;
}

/**
 * What containerd expects of every snapshotter, mounts apart.
 * https://github.com/containerd/containerd/blob/main/core/snapshots/testsuite/testsuite.go
 */
export function describeSnapshotter({ name, open }: SnapshotterSuite): void {
  describe(`${name} as a snapshotter`, () => {
    test("Prepare of nothing is a writable bind", async () => {
      await using opened = await open();
      const mounts = await opened.calls.prepare({ key: "a" });
      const directory = upperOf(mounts);
      expect(mounts).toEqual([
        { type: "bind", source: directory, target: "", options: ["rw", "rbind"] },
      ]);
      expect((await stat(directory)).mode & 0o7777).toBe(0o755);
    });

    test("View of nothing is an empty directory, read-only", async () => {
      await using opened = await open();
      const [mount] = await opened.calls.view({ key: "a" });
      expect(mount).toMatchObject({ type: "bind", options: ["ro", "rbind"] });
    });

    test("Prepare over one layer is an overlay", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      const [mount] = await opened.calls.prepare({ key: "a", parent: "one" });
      expect(mount).toMatchObject({ type: "overlay", source: "overlay", target: "" });
      expect(mount?.options.map((option) => option.split("=")[0])).toEqual([
        "workdir",
        "upperdir",
        "lowerdir",
      ]);
      expect((await stat(optionOf(mount, "workdir"))).mode & 0o7777).toBe(0o711);
    });

    test("the newest layer is the first lower one", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      await commitLayer(opened.calls, "two", "one");
      const [mount] = await opened.calls.view({ key: "a", parent: "two" });
      const [newest = "", oldest = "", ...others] = optionOf(mount, "lowerdir").split(":");
      expect(await Bun.file(join(newest, "file of two")).text()).toBe("two");
      expect(await Bun.file(join(oldest, "file of one")).text()).toBe("one");
      expect(others).toEqual([]);
      expect(mount?.options.length).toBe(1);
    });

    test("View of one layer is a read-only bind of it", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      const [mount] = await opened.calls.view({ key: "a", parent: "one" });
      expect(mount).toMatchObject({ type: "bind", options: ["ro", "rbind"] });
      expect(await Bun.file(join(mount?.source ?? "", "file of one")).text()).toBe("one");
    });

    test("Mounts says what Prepare and View said", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      const active = await opened.calls.prepare({ key: "a", parent: "one" });
      const view = await opened.calls.view({ key: "v", parent: "one" });
      expect(await opened.calls.mounts("a")).toEqual([...active]);
      expect(await opened.calls.mounts("v")).toEqual([...view]);
    });

    test("Mounts of a committed snapshot is failed-precondition", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      expect(await rejectionOf(opened.calls.mounts("one"))).toMatchObject({
        kind: "failed-precondition",
      });
    });

    test.each([
      { title: "Mounts", call: (calls: SnapshotCalls) => calls.mounts("x") },
      { title: "Stat", call: (calls: SnapshotCalls) => calls.stat("x") },
      { title: "Usage", call: (calls: SnapshotCalls) => calls.usage("x") },
      { title: "Remove", call: (calls: SnapshotCalls) => calls.remove("x") },
      { title: "Commit", call: (calls: SnapshotCalls) => calls.commit("x", "y") },
      { title: "Update", call: (calls: SnapshotCalls) => calls.update("x", {}) },
      {
        title: "Prepare over it",
        call: (calls: SnapshotCalls) => calls.prepare({ key: "y", parent: "x" }),
      },
      {
        title: "View over it",
        call: (calls: SnapshotCalls) => calls.view({ key: "y", parent: "x" }),
      },
    ])("$title is not-found for what is not there", async ({ call }) => {
      await using opened = await open();
      expect(await rejectionOf(call(opened.calls))).toMatchObject({ kind: "not-found" });
      expect(await opened.calls.list()).toEqual([]);
    });

    test("Stat tells of an active snapshot", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      await opened.calls.prepare({ key: "a", parent: "one", labels: { x: "1" } });
      const info = await opened.calls.stat("a");
      expect(info).toMatchObject({ name: "a", parent: "one", kind: "active", labels: { x: "1" } });
      expect(nanoseconds(info.createdAt)).toBe(nanoseconds(info.updatedAt));
      expect(Math.abs(Date.now() / 1000 - (info.createdAt?.seconds ?? 0))).toBeLessThan(60);
    });

    test("Stat tells of a view and of a committed snapshot", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      await opened.calls.view({ key: "v", parent: "one" });
      expect(await opened.calls.stat("v")).toMatchObject({ kind: "view", parent: "one" });
      expect(await opened.calls.stat("one")).toMatchObject({ kind: "committed", parent: "" });
    });

    test("parents go all the way down", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      await commitLayer(opened.calls, "two", "one");
      await commitLayer(opened.calls, "three", "two");
      const infos = await opened.calls.list();
      expect(Object.fromEntries(infos.map((info) => [info.name, info.parent]))).toEqual({
        one: "",
        two: "one",
        three: "two",
      });
    });

    test.each([
      { title: "Prepare", call: (calls: SnapshotCalls) => calls.prepare({ key: "a" }) },
      { title: "View", call: (calls: SnapshotCalls) => calls.view({ key: "a" }) },
      { title: "Commit", call: (calls: SnapshotCalls) => calls.commit("b", "a") },
    ])("$title of a name that is taken is already-exists", async ({ call }) => {
      await using opened = await open();
      await opened.calls.prepare({ key: "a" });
      await opened.calls.prepare({ key: "b" });
      expect(await rejectionOf(call(opened.calls))).toMatchObject({ kind: "already-exists" });
      expect(await opened.calls.stat("b")).toMatchObject({ kind: "active" });
    });

    test("nothing stands on a snapshot that is not committed", async () => {
      await using opened = await open();
      await opened.calls.prepare({ key: "a" });
      const { calls } = opened;
      expect(await rejectionOf(calls.prepare({ key: "b", parent: "a" }))).toMatchObject({
        kind: "invalid-argument",
      });
      expect(await rejectionOf(calls.view({ key: "b", parent: "a" }))).toMatchObject({
        kind: "invalid-argument",
      });
    });

    test("Commit ends the active snapshot", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      const key = "prepare one";
      expect(await rejectionOf(opened.calls.mounts(key))).toMatchObject({ kind: "not-found" });
      expect(await rejectionOf(opened.calls.commit(key, "two"))).toMatchObject({
        kind: "not-found",
      });
    });

    test("Commit of a view, or of what is committed, is failed-precondition", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      await opened.calls.view({ key: "v", parent: "one" });
      expect(await rejectionOf(opened.calls.commit("v", "two"))).toMatchObject({
        kind: "failed-precondition",
      });
      expect(await rejectionOf(opened.calls.commit("one", "two"))).toMatchObject({
        kind: "failed-precondition",
      });
    });

    test("Commit replaces the labels and the times", async () => {
      await using opened = await open();
      await opened.calls.prepare({ key: "a", labels: { x: "1" } });
      const before = await opened.calls.stat("a");
      await opened.calls.commit("a", "one", { y: "2" });
      const after = await opened.calls.stat("one");
      expect(after.labels).toEqual({ y: "2" });
      expect(nanoseconds(after.createdAt)).toBeGreaterThan(nanoseconds(before.createdAt));
    });

    test("Commit gives a parent to a snapshot that has none, and changes none", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      await commitLayer(opened.calls, "other");
      await opened.calls.prepare({ key: "a" });
      await opened.calls.commit("a", "two", {}, "one");
      expect(await opened.calls.stat("two")).toMatchObject({ parent: "one" });
      await opened.calls.prepare({ key: "b", parent: "two" });
      expect(await rejectionOf(opened.calls.commit("b", "three", {}, "other"))).toMatchObject({
        kind: "invalid-argument",
      });
      await opened.calls.prepare({ key: "c" });
      expect(await rejectionOf(opened.calls.commit("c", "three", {}, "b"))).toMatchObject({
        kind: "failed-precondition",
      });
      expect(await rejectionOf(opened.calls.commit("c", "three", {}, "x"))).toMatchObject({
        kind: "not-found",
      });
    });

    test("Remove takes an active snapshot, a view, a committed one", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      await opened.calls.prepare({ key: "a", parent: "one" });
      await opened.calls.view({ key: "v", parent: "one" });
      for (const key of ["a", "v", "one"]) await opened.calls.remove(key);
      expect(await opened.calls.list()).toEqual([]);
      await opened.calls.cleanup();
      expect([
        ...new Bun.Glob("*").scanSync({ cwd: join(opened.root, "snapshots"), onlyFiles: false }),
      ]).toEqual([]);
    });

    test("Remove of what others stand on is failed-precondition", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      await commitLayer(opened.calls, "two", "one");
      await opened.calls.prepare({ key: "a", parent: "two" });
      for (const key of ["one", "two"]) {
        expect(await rejectionOf(opened.calls.remove(key))).toMatchObject({
          kind: "failed-precondition",
          message: expect.stringContaining("cannot remove snapshot with child"),
        });
      }
    });

    test("a key can be used again when it was removed", async () => {
      await using opened = await open();
      const first = upperOf(await opened.calls.prepare({ key: "a" }));
      await writeFile(join(first, "file"), "old");
      await opened.calls.remove("a");
      const second = upperOf(await opened.calls.prepare({ key: "a" }));
      expect(second).not.toBe(first);
      expect(await Bun.file(join(second, "file")).exists()).toBe(false);
    });

    describeSnapshotRecords(open);

    describe("Usage", () => {
      test("counts blocks, and hard links once", async () => {
        await using opened = await open();
        const upper = upperOf(await opened.calls.prepare({ key: "a" }));
        const empty = await opened.calls.usage("a");
        expect(empty.inodes).toBe(1);
        await mkdir(join(upper, "directory"));
        await writeFile(join(upper, "directory", "file"), Buffer.alloc(100_000, 1));
        await link(join(upper, "directory", "file"), join(upper, "link"));
        await opened.calls.update("a", {});
        const full = await opened.calls.usage("a");
        expect(full.inodes).toBe(3);
        expect(full.size - empty.size).toBeGreaterThanOrEqual(100_000);
        expect(full.size - empty.size).toBeLessThan(150_000);
      });

      test("of a committed snapshot is that of its own files", async () => {
        await using opened = await open();
        await commitLayer(opened.calls, "one");
        await commitLayer(opened.calls, "two", "one");
        const active = upperOf(await opened.calls.prepare({ key: "a", parent: "two" }));
        await writeFile(join(active, "x"), "x");
        const before = await opened.calls.usage("a");
        await opened.calls.commit("a", "three");
        expect(await opened.calls.usage("three")).toEqual(before);
        expect((await opened.calls.usage("two")).inodes).toBe(2);
      });

      test("of a view is nothing", async () => {
        await using opened = await open();
        await commitLayer(opened.calls, "one");
        await opened.calls.view({ key: "v", parent: "one" });
        expect(await opened.calls.usage("v")).toEqual({ size: 0, inodes: 0 });
      });
    });

    test("of calls with one key at the same time one succeeds", async () => {
      await using opened = await open();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, () => opened.calls.prepare({ key: "a" })),
      );
      const failed = outcomes.filter((outcome) => outcome.status === "rejected");
      expect(failed.length).toBe(19);
      for (const { reason } of failed) expect(reason).toMatchObject({ kind: "already-exists" });
    });

    test("calls with many keys at the same time succeed", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      const keys = Array.from({ length: 50 }, (_, at) => `key ${at}`);
      await Promise.all(
        keys.map(async (key) => {
          await opened.calls.prepare({ key, parent: "one" });
          await opened.calls.commit(key, `committed ${key}`);
          await opened.calls.remove(`committed ${key}`);
        }),
      );
      expect((await opened.calls.list()).map((info) => info.name)).toEqual(["one"]);
    });

    test("a chain of 128 layers has 128 lower directories", async () => {
      await using opened = await open();
      let parent = "";
      for (let at = 0; at < 128; at += 1) {
        await opened.calls.prepare({ key: "next", parent });
        await opened.calls.commit("next", `layer ${at}`);
        parent = `layer ${at}`;
      }
      const [mount] = await opened.calls.prepare({ key: "a", parent });
      expect(new Set(optionOf(mount, "lowerdir").split(":")).size).toBe(128);
    });
  });
}
