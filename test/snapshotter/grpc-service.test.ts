import { expect, test } from "bun:test";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import type { SnapshotterCall } from "../../src/snapshotter/snapshotter-events.ts";
import { rejectionOf } from "../support/failure.ts";
import { openOverGrpc } from "./opened-snapshotter.ts";
import { serveLayers } from "./sample-layer.ts";

test("snapshotsService() answers INTERNAL to what is a bug, and logs it", async () => {
  const records: LogRecord[] = [];
  const log = createLogger({ sink: (record) => records.push(record) });
  await using opened = await openOverGrpc({ log });
  const parent = await serveLayers(opened, "a");
  const bug = new TypeError("undefined is not a function");
  opened.mounter.mountStack = () => Promise.reject(bug);
  expect(await rejectionOf(opened.calls.prepare({ key: "a", parent }))).toMatchObject({
    kind: "internal",
  });
  expect(records.at(-1)).toMatchObject({
    level: "error",
    message: "call failed",
    fields: { call: "Prepare", error: bug },
  });
});

test("snapshotsService() logs no failure that the caller only has to read", async () => {
  const records: LogRecord[] = [];
  const log = createLogger({ sink: (record) => records.push(record) });
  await using opened = await openOverGrpc({ log });
  await rejectionOf(opened.calls.stat("x"));
  expect(records).toEqual([]);
});

test("snapshotsService() has each call counted, with what became of it", async () => {
  const calls: [SnapshotterCall, boolean][] = [];
  const events = {
    called: (call: SnapshotterCall, _seconds: number, failed: boolean) => {
      calls.push([call, failed]);
    },
  };
  await using opened = await openOverGrpc({ events });
  await opened.calls.prepare({ key: "a" });
  await rejectionOf(opened.calls.remove("b"));
  await opened.calls.list();
  expect(calls).toEqual([
    ["prepare", false],
    ["remove", true],
    ["list", false],
  ]);
});
