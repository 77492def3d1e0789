import { describe, expect, test } from "bun:test";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { WHOLE_IMAGE_LABEL } from "../../src/containerd/snapshot-labels.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { createLogger, type Logger, type LogRecord } from "../../src/observability/log.ts";
import type { LayerAnswer, RefusalReason } from "../../src/snapshotter/layer-mounter.ts";
import type { SnapshotterEvents } from "../../src/snapshotter/snapshotter-events.ts";
import {
  layerDigest,
  layerLabels,
  layerToMake,
  serveLayers,
  targetOf,
} from "../snapshotter/sample-layer.ts";
import type { OpenedSnapshotter, OpenOptions } from "../snapshotter/opened-snapshotter.ts";
import { rejectionOf } from "../support/failure.ts";
import { servedLayer } from "../support/fake-layer-mounter.ts";
import { optionOf, upperOf } from "../support/snapshot-paths.ts";

export interface ServedLayersSuite {
  readonly name: string;
  readonly open: (options?: OpenOptions) => Promise<OpenedSnapshotter>;
}

/** A log, its records, and the fields of these that say what became of a layer. */
function record(): { log: Logger; records: LogRecord[]; kinds(): readonly string[] } {
  const records: LogRecord[] = [];
  const kinds = ["remote-snapshot-prepared", "local-snapshot-prepared", "defer-snapshot-runtime"];
  return {
    records,
    log: createLogger({ level: "debug", sink: (one) => records.push(one) }),
    kinds: () =>
      records.flatMap(({ fields }) =>
        kinds.filter((kind) => fields[kind] === "true").map((kind) => kind),
      ),
  };
}

function refuse(reason: RefusalReason): () => LayerAnswer {
  return () => ({ kind: "refused", reason, detail: "so" });
}

const ALREADY = { kind: "already-exists" };
const UID = "containerd.io/snapshot/uidmapping";
const GID = "containerd.io/snapshot/gidmapping";

/** What a snapshotter does with layers that need no unpacking. */
export function describeServedLayers({ name, open }: ServedLayersSuite): void {
  describe(`${name} with layers that are served`, () => {
    test("commits the target and says already-exists", async () => {
      await using opened = await open();
      const error = await rejectionOf(opened.calls.prepare(layerToMake("a")));
      expect(error).toMatchObject({
        kind: "already-exists",
        message: expect.stringContaining(`target snapshot "${targetOf("a")}": already exists`),
      });
      expect((await opened.calls.list()).map((info) => info.name)).toEqual([targetOf("a")]);
      expect(await opened.calls.stat(targetOf("a"))).toMatchObject({
        kind: "committed",
        parent: "",
        labels: {
          ...layerLabels("a"),
          "containerd.io/snapshot/remote": "remote snapshot",
          "containerd.io/snapshot/remote/namespace": "test",
          "containerd.io/snapshot/remote/has.soci.index.digest": "true",
        },
      });
      expect(await opened.calls.usage(targetOf("a"))).toEqual({ size: 0, inodes: 0 });
      expect([...opened.mounter.layers.values()].map(({ digest }) => digest)).toEqual([
        layerDigest("a"),
      ]);
    });

    test("asks the mounter with what the labels say", async () => {
      await using opened = await open();
      const index = digestOf("index");
      const { labels, ...rest } = layerToMake("a");
      const more = { "containerd.io/snapshot/remote/soci.index.digest": index };
      await rejectionOf(opened.calls.prepare({ ...rest, labels: { ...labels, ...more } }));
      expect(opened.mounter.requests).toEqual([
        {
          namespace: "test",
          imageReference: "registry.example/app:v1",
          manifestDigest: digestOf("manifest"),
          layerDigest: layerDigest("a"),
          layerSize: 4567,
          indexDigest: index,
        },
      ]);
    });

    test("is found by containerd by label and parent", async () => {
      await using opened = await open();
      await serveLayers(opened, "a", "b");
      const filter = `labels."containerd.io/snapshot.ref"==${targetOf("b")},parent=="${targetOf("a")}"`;
      expect((await opened.calls.list(filter)).map((info) => info.name)).toEqual([targetOf("b")]);
      const other = `labels."containerd.io/snapshot.ref"==${targetOf("b")},parent==""`;
      expect(await opened.calls.list(other)).toEqual([]);
    });

    test("makes one snapshot of a whole image where that is asked for", async () => {
      await using opened = await open();
      const digests = ["a", "b", "c"].map(layerDigest);
      opened.mounter.image = digests;
      const { labels, ...rest } = layerToMake("c");
      const whole = { ...labels, [WHOLE_IMAGE_LABEL]: "true" };
      expect(await rejectionOf(opened.calls.prepare({ ...rest, labels: whole }))).toMatchObject(
        ALREADY,
      );
      expect(opened.mounter.targets).toEqual([targetOf("c")]);
      expect((await opened.calls.list()).map((info) => info.name)).toEqual([targetOf("c")]);
      await opened.calls.prepare({ key: "box", parent: targetOf("c"), labels: {} });
      const [stack] = opened.mounter.stacks.values();
      expect(stack?.layers.map(({ digest }) => digest)).toEqual(digests);
      await opened.calls.remove("box");
      await opened.calls.remove(targetOf("c"));
      expect(opened.mounter.layers.size).toBe(0);
    });

    test("leaves a whole image to containerd when a layer of it cannot be served", async () => {
      await using opened = await open();
      opened.mounter.image = ["a", "b"].map(layerDigest);
      const { answer } = opened.mounter;
      const refused = refuse("no-ztoc");
      opened.mounter.answer = (request, signal) =>
        request.layerDigest === layerDigest("a") ? refused() : answer(request, signal);
      const { labels, ...rest } = layerToMake("b");
      const whole = { ...labels, [WHOLE_IMAGE_LABEL]: "true" };
      const mounts = await opened.calls.prepare({ ...rest, labels: whole });
      expect(mounts).toMatchObject([{ type: "bind" }]);
      expect((await opened.calls.stat(rest.key)).kind).toBe("active");
    });

    test("needs a namespace", async () => {
      await using opened = await open();
      const error = await rejectionOf(opened.calls.prepare({ ...layerToMake("a"), namespace: "" }));
      expect(error).toMatchObject({
        kind: "failed-precondition",
        message: expect.stringContaining("context has no namespace attached"),
      });
    });

    test("shows a container's layers as one lower directory", async () => {
      await using opened = await open();
      const parent = await serveLayers(opened, "a", "b", "c");
      expect(opened.mounter.stacks.size).toBe(0);
      const [mount] = await opened.calls.prepare({ key: "container", parent });
      const lower = optionOf(mount, "lowerdir");
      expect(mount?.type).toBe("overlay");
      expect((await readdir(lower)).length).toBe(3);
      expect(await opened.calls.mounts("container")).toEqual(mount === undefined ? [] : [mount]);
      expect((await stat(upperOf(mount === undefined ? [] : [mount]))).uid).toBe(
        process.geteuid?.() ?? 0,
      );
    });

    test("shows a view of them as a read-only bind", async () => {
      await using opened = await open();
      const parent = await serveLayers(opened, "a", "b");
      const [mount] = await opened.calls.view({ key: "view", parent });
      expect(mount).toMatchObject({ type: "bind", options: ["ro", "rbind"] });
      expect((await readdir(mount?.source ?? "")).length).toBe(2);
    });

    test("puts local layers above them", async () => {
      await using opened = await open();
      const parent = await serveLayers(opened, "a");
      const upper = upperOf(await opened.calls.prepare({ key: "local", parent }));
      await opened.calls.commit("local", "above");
      const [mount] = await opened.calls.view({ key: "view", parent: "above" });
      const lowers = optionOf(mount, "lowerdir").split(":");
      expect(lowers.length).toBe(2);
      expect(lowers[0]).toBe(upper);
      expect((await readdir(lowers[1] ?? "")).length).toBe(1);
    });

    test("lets go of the stack of what is committed or removed", async () => {
      await using opened = await open();
      const parent = await serveLayers(opened, "a");
      await opened.calls.prepare({ key: "one", parent });
      await opened.calls.prepare({ key: "two", parent });
      expect(opened.mounter.stacks.size).toBe(2);
      await opened.calls.commit("one", "committed");
      await opened.calls.remove("two");
      expect(opened.mounter.stacks.size).toBe(0);
      await opened.calls.remove("committed");
      await opened.calls.remove(parent);
      expect(opened.mounter.layers.size).toBe(0);
    });

    test.each([
      "no-index",
      "no-ztoc",
      "modes-disabled",
      "registry",
      "data",
      "no-room",
      "timeout",
      "internal",
    ] as const)("leaves a layer to containerd that is refused: %s", async (reason) => {
      const { log, records, kinds } = record();
      await using opened = await open({ log });
      opened.mounter.answer = refuse(reason);
      const mounts = await opened.calls.prepare(layerToMake("a"));
      expect(mounts).toMatchObject([{ type: "bind", options: ["rw", "rbind"] }]);
      expect(await opened.calls.stat("extract a")).toMatchObject({ kind: "active" });
      expect(kinds()).toEqual(["defer-snapshot-runtime"]);
      expect(records.at(-1)?.fields).toMatchObject({ reason, detail: "so", key: "extract a" });
      await opened.calls.commit("extract a", targetOf("a"), layerLabels("a"));
    });

    test("never serves a layer over one that was unpacked", async () => {
      const { log, kinds } = record();
      await using opened = await open({ log });
      opened.mounter.answer = refuse("no-ztoc");
      await opened.calls.prepare(layerToMake("a"));
      await opened.calls.commit("extract a", targetOf("a"), layerLabels("a"));
      opened.mounter.answer = (request) => {
        throw new Error(`asked for ${request.layerDigest}`);
      };
      const [mount] = await opened.calls.prepare(layerToMake("b", "a"));
      expect(mount?.type).toBe("overlay");
      expect(kinds()).toEqual(["defer-snapshot-runtime", "defer-snapshot-runtime"]);
    });

    test.each([
      { title: "image", label: "containerd.io/snapshot/cri.image-ref", value: "" },
      { title: "manifest", label: "containerd.io/snapshot/cri.manifest-digest", value: "" },
      { title: "manifest digest", label: "containerd.io/snapshot/cri.manifest-digest", value: "x" },
      { title: "layer", label: "containerd.io/snapshot/cri.layer-digest", value: "" },
      {
        title: "layer digest",
        label: "containerd.io/snapshot/cri.layer-digest",
        value: "sha256:x",
      },
      { title: "index", label: "containerd.io/snapshot/remote/soci.index.digest", value: "x" },
    ])("leaves a layer to containerd whose labels name no $title", async ({ label, value }) => {
      const reasons: string[] = [];
      const events: SnapshotterEvents = { layerRefused: (reason) => reasons.push(reason) };
      await using opened = await open({ events });
      const { labels, ...rest } = layerToMake("a");
      await opened.calls.prepare({ ...rest, labels: { ...labels, [label]: value } });
      expect(reasons).toEqual(["labels-missing"]);
      expect(opened.mounter.requests).toEqual([]);
    });

    test("serves a layer over served ones only when its parent is committed", async () => {
      await using opened = await open();
      await opened.calls.prepare({ key: targetOf("a") });
      expect(await rejectionOf(opened.calls.prepare(layerToMake("b", "a")))).toMatchObject({
        kind: "invalid-argument",
      });
      expect(await rejectionOf(opened.calls.prepare(layerToMake("b", "c")))).toMatchObject({
        kind: "not-found",
      });
    });

    test("asks no one for a target that is there", async () => {
      await using opened = await open();
      await serveLayers(opened, "a");
      const again = { ...layerToMake("a"), key: "other", namespace: "elsewhere" };
      expect(await rejectionOf(opened.calls.prepare(again))).toMatchObject(ALREADY);
      expect(opened.mounter.requests.length).toBe(1);
    });

    test("of two who prepare one layer at the same time both find it", async () => {
      await using opened = await open();
      const both = Promise.withResolvers<void>();
      opened.mounter.answer = async (request) => {
        if (opened.mounter.requests.length === 2) both.resolve();
        await both.promise;
        return { kind: "served", layer: servedLayer(request), isWhole: false, hasIndex: true };
      };
      const errors = await Promise.all(
        ["x", "y"].map((key) => rejectionOf(opened.calls.prepare({ ...layerToMake("a"), key }))),
      );
      expect(errors).toMatchObject([ALREADY, ALREADY]);
      expect(opened.mounter.layers.size).toBe(1);
    });

    test("makes ordinary mounts where another snapshot has the target's name", async () => {
      await using opened = await open();
      await opened.calls.prepare({ key: "x" });
      await opened.calls.commit("x", targetOf("a"));
      const mounts = await opened.calls.prepare(layerToMake("a"));
      expect(mounts).toMatchObject([{ type: "bind" }]);
    });

    test("says what became of a layer in the fields that tools look for", async () => {
      const { log, records, kinds } = record();
      await using opened = await open({ log });
      await serveLayers(opened, "a");
      opened.mounter.answer = (request) => ({
        kind: "served",
        layer: servedLayer(request),
        isWhole: true,
        hasIndex: false,
      });
      await rejectionOf(opened.calls.prepare(layerToMake("b", "a")));
      expect(kinds()).toEqual(["remote-snapshot-prepared", "local-snapshot-prepared"]);
      expect(records.map(({ message }) => message)).toEqual([
        "remote snapshot successfully prepared.",
        "local snapshot successfully prepared.",
      ]);
      const { labels } = await opened.calls.stat(targetOf("b"));
      expect(labels["containerd.io/snapshot/remote"]).toBe("remote snapshot");
      expect(labels["containerd.io/snapshot/remote/has.soci.index.digest"]).toBeUndefined();
    });

    test("ends with the caller who gives up, and leaves nothing", async () => {
      await using opened = await open();
      const asked = Promise.withResolvers<void>();
      const ended = Promise.withResolvers<void>();
      opened.mounter.answer = (_request, signal) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () => {
            reject(signal.reason);
            ended.resolve();
          });
          asked.resolve();
        });
      const controller = new AbortController();
      const outcome = rejectionOf(
        opened.calls.prepare(layerToMake("a"), { signal: controller.signal }),
      );
      await asked.promise;
      controller.abort(new Error("enough"));
      expect(await outcome).toMatchObject({ message: "enough" });
      await ended.promise;
      expect(await opened.calls.list()).toEqual([]);
    });

    test("Prepare over a layer that cannot be shown is unavailable, and leaves nothing", async () => {
      await using opened = await open();
      const parent = await serveLayers(opened, "a", "b");
      opened.mounter.lost.add(layerDigest("a"));
      expect(await rejectionOf(opened.calls.prepare({ key: "c", parent }))).toMatchObject({
        kind: "unavailable",
        message: expect.stringMatching(/layer "\d+" unavailable/),
      });
      expect((await opened.calls.list()).length).toBe(2);
      opened.mounter.lost.clear();
      await opened.calls.prepare({ key: "c", parent });
    });

    test("Mounts over a layer that cannot be shown is unavailable, and keeps the snapshot", async () => {
      await using opened = await open();
      const parent = await serveLayers(opened, "a");
      await opened.calls.prepare({ key: "c", parent });
      opened.mounter.lost.add(layerDigest("a"));
      expect(await rejectionOf(opened.calls.mounts("c"))).toMatchObject({ kind: "unavailable" });
      expect(await opened.calls.stat("c")).toMatchObject({ kind: "active" });
    });

    describe("and mapped ids", () => {
      const labels = { [UID]: "0:100000:65536", [GID]: "0:200000:65536" };

      test.skipIf(process.geteuid?.() !== 0)(
        "has the mounter show the layers so, and owns the upper directory",
        async () => {
          await using opened = await open();
          const parent = await serveLayers(opened, "a");
          const mounts = await opened.calls.prepare({ key: "c", parent, labels });
          const run = { containerId: 0, length: 65_536 };
          expect([...opened.mounter.stacks.values()].map(({ options }) => options.ids)).toEqual([
            { uids: [{ ...run, hostId: 100_000 }], gids: [{ ...run, hostId: 200_000 }] },
          ]);
          expect(await stat(upperOf(mounts))).toMatchObject({ uid: 100_000, gid: 200_000 });
          expect(mounts[0]?.options.some((option) => option.startsWith("uidmap"))).toBe(false);
        },
      );

      test.skipIf(process.geteuid?.() !== 0)(
        "leaves layers of its own to containerd to map",
        async () => {
          await using opened = await open();
          await opened.calls.prepare({ key: "x" });
          await opened.calls.commit("x", "one");
          const [mount] = await opened.calls.prepare({ key: "c", parent: "one", labels });
          expect(mount?.options.slice(-2)).toEqual([
            "uidmap=0:100000:65536",
            "gidmap=0:200000:65536",
          ]);
        },
      );

      test("are refused over served and unpacked layers together", async () => {
        await using opened = await open();
        const parent = await serveLayers(opened, "a");
        await opened.calls.prepare({ key: "x", parent });
        await opened.calls.commit("x", "above");
        const before = await opened.calls.list();
        const container = { key: "c", parent: "above", labels };
        expect(await rejectionOf(opened.calls.prepare(container))).toMatchObject({
          kind: process.geteuid?.() === 0 ? "unsupported" : "internal",
        });
        expect(await opened.calls.list()).toEqual(before);
      });

      test("needs both labels to map anything", async () => {
        await using opened = await open();
        const parent = await serveLayers(opened, "a");
        await opened.calls.prepare({ key: "c", parent, labels: { [UID]: "0:100000:65536" } });
        expect([...opened.mounter.stacks.values()].map(({ options }) => options.ids)).toEqual([
          undefined,
        ]);
      });

      test.each(["", "0:1", "0:1:0", "0:1:x", "1:100000:10", "0:1:10,5:100:10", "0:4294967295:1"])(
        "refuses %p",
        async (text) => {
          await using opened = await open();
          const wrong = { [UID]: text === "" ? "," : text, [GID]: "0:1:1" };
          expect(
            await rejectionOf(opened.calls.prepare({ key: "c", labels: wrong })),
          ).toMatchObject({ kind: "invalid-argument" });
          expect(await opened.calls.list()).toEqual([]);
        },
      );
    });

    test("Cleanup has the mounter clean up, too", async () => {
      await using opened = await open();
      await opened.calls.cleanup();
      expect(opened.mounter.cleanups).toBe(1);
      expect(await readdir(join(opened.root, "snapshots"))).toEqual([]);
    });
  });
}
