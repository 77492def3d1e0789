import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Timestamp } from "../../src/containerd/api/timestamp.ts";
import type { OpenedSnapshotter, SnapshotCalls } from "../snapshotter/opened-snapshotter.ts";
import { rejectionOf } from "../support/failure.ts";
import { upperOf } from "../support/snapshot-paths.ts";

export function nanoseconds(time: Timestamp | undefined): bigint {
  return BigInt(time?.seconds ?? 0) * 1_000_000_000n + BigInt(time?.nanos ?? 0);
}

/** Commits a layer with one file. */
export async function commitLayer(calls: SnapshotCalls, name: string, parent = ""): Promise<void> {
  const key = `prepare ${name}`;
  const mounts = await calls.prepare({ key, parent });
  await writeFile(join(upperOf(mounts), `file of ${name}`), name);
  await calls.commit(key, name);
}

/** What containerd expects of Update and List. */
export function describeSnapshotRecords(open: () => Promise<OpenedSnapshotter>): void {
  describe("Update", () => {
    test("without paths replaces all labels", async () => {
      await using opened = await open();
      await opened.calls.prepare({ key: "a", labels: { x: "1", y: "2" } });
      const info = await opened.calls.update("a", { z: "3" });
      expect(info.labels).toEqual({ z: "3" });
      expect((await opened.calls.stat("a")).labels).toEqual({ z: "3" });
    });

    test("with labels.KEY changes that one, and an empty value takes it away", async () => {
      await using opened = await open();
      await opened.calls.prepare({ key: "a", labels: { "x.y/z": "1", y: "2", w: "4" } });
      const labels = { "x.y/z": "5", y: "" };
      const info = await opened.calls.update("a", labels, ["labels.x.y/z", "labels.y"]);
      expect(info.labels).toEqual({ "x.y/z": "5", w: "4" });
    });

    test("with labels.KEY of none that was sent takes it away", async () => {
      await using opened = await open();
      await opened.calls.prepare({ key: "a", labels: { x: "1" } });
      expect((await opened.calls.update("a", {}, ["labels.x"])).labels).toEqual({});
    });

    test("changes the time of the update alone", async () => {
      await using opened = await open();
      await commitLayer(opened.calls, "one");
      const before = await opened.calls.stat("one");
      const after = await opened.calls.update("one", { x: "1" }, ["labels"]);
      expect(after).toMatchObject({ ...before, labels: { x: "1" }, updatedAt: {} });
      expect(nanoseconds(after.updatedAt)).toBeGreaterThan(nanoseconds(before.updatedAt));
    });

    test.each(["kind", "parent", "name", "created", "labels.", "label"])(
      "of %p is as it says",
      async (path) => {
        await using opened = await open();
        await opened.calls.prepare({ key: "a", labels: { x: "1" } });
        const outcome = await opened.calls.update("a", {}, [path]).then(
          ({ labels }) => labels,
          ({ kind }: { readonly kind: string }) => kind,
        );
        // An empty key is a label's key like any other.
        expect(outcome).toEqual(path === "labels." ? { x: "1" } : "invalid-argument");
        expect((await opened.calls.stat("a")).labels).toEqual({ x: "1" });
      },
    );
  });

  describe("List", () => {
    async function openSample(): Promise<OpenedSnapshotter> {
      const opened = await open();
      await commitLayer(opened.calls, "one");
      await opened.calls.prepare({ key: "a", parent: "one", labels: { x: "1" } });
      await opened.calls.view({ key: "v", parent: "one", labels: { "containerd.io/y": "2" } });
      return opened;
    }

    test.each([
      { filters: [], names: ["a", "one", "v"] },
      { filters: [""], names: ["a", "one", "v"] },
      { filters: ["kind==active"], names: ["a"] },
      { filters: ["kind==view"], names: ["v"] },
      { filters: ["kind==committed"], names: ["one"] },
      { filters: ["name==one"], names: ["one"] },
      { filters: ["name~=^[av]$"], names: ["a", "v"] },
      { filters: ['parent=="one"'], names: ["a", "v"] },
      { filters: ["labels.x"], names: ["a"] },
      { filters: ['labels."containerd.io/y"==2'], names: ["v"] },
      { filters: ["parent==one,kind==view"], names: ["v"] },
      { filters: ["kind==active", "kind==committed"], names: ["a", "one"] },
      { filters: ["kind==nothing"], names: [] },
      { filters: ["nothing==x"], names: [] },
    ])("with $filters gives $names", async ({ filters, names }) => {
      await using opened = await openSample();
      expect((await opened.calls.list(...filters)).map((info) => info.name)).toEqual([...names]);
    });

    test("gives what Stat gives", async () => {
      await using opened = await openSample();
      const infos = await opened.calls.list();
      expect(infos).toEqual(await Promise.all(infos.map((info) => opened.calls.stat(info.name))));
    });

    test("refuses a filter that is none", async () => {
      await using opened = await openSample();
      expect(await rejectionOf(opened.calls.list("==x"))).toMatchObject({
        kind: "invalid-argument",
      });
    });

    test("gives more than one message holds", async () => {
      await using opened = await open();
      for (let at = 0; at < 250; at += 1) await opened.calls.view({ key: `v${at}` });
      const names = (await opened.calls.list()).map((info) => info.name);
      expect(new Set(names).size).toBe(250);
      expect(names).toEqual(names.toSorted());
    });
  });
}
