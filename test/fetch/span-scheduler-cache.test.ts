import { describe, expect, test } from "bun:test";
import { DAMAGED } from "../../src/cache/layer-reader.ts";
import { rejectionOf } from "../support/failure.ts";
import { inside, openRig, sampleLayer } from "./scheduler-rig.ts";

const one = await sampleLayer({ bytes: 3_000_000 });
const big = await sampleLayer({ bytes: 10_000_000, spanSize: 262_144, seed: 3 });

describe("SpanScheduler and the cache", () => {
  test("refuses a span that no memory can hold, in a fill too", async () => {
    const ztoc = { ...one.ztoc, compressedArchiveSize: 1e12 };
    await using rig = await openRig({ layers: [{ layer: one.layer, ztoc }] });
    const { start } = inside(rig, one.ztoc.maxSpanId);
    const { scheduler } = rig;
    await expect(scheduler.want(0, start, start + 10)).rejects.toMatchObject({
      kind: "unsupported",
    });
    await expect(scheduler.fill(0).done).rejects.toMatchObject({ kind: "unsupported" });
    expect(rig.stats().spans).toBe(one.ztoc.maxSpanId);
  });

  test("fetches a span again that was damaged in the cache", async () => {
    await using rig = await openRig({ layers: [one] });
    const { start, end } = inside(rig, 5);
    expect(await rig.read(0, start, end)).toBe(true);
    await Bun.write(rig.cached[0]?.paths.data ?? "", new Uint8Array(0));
    const bytes = new Uint8Array(end - start);
    expect(rig.scheduler.readRange(0, start, end, bytes, 0)).toBe(DAMAGED);
    expect(await rig.read(0, start, end)).toBe(true);
    expect(rig.stats()).toMatchObject({ spans: 2, evictedSpans: 1 });
  });

  test("keeps spans in memory when the cache has no room, and says so once", async () => {
    await using rig = await openRig({ layers: [one], capBytes: 4096 });
    for (const span of [3, 9, 3, 12]) {
      const { start, end } = inside(rig, span);
      expect(await rig.read(0, start, end)).toBe(true);
    }
    expect(rig.cached[0]?.presentBytes).toBe(0);
    expect(rig.stats()).toMatchObject({ spans: 3, memorySpans: 3 });
    const told = rig.records.filter(({ level }) => level === "warn");
    expect(told.map(({ message }) => message)).toEqual([
      "no room in the cache: reading goes on from memory",
    ]);
  });

  test("forgets the spans that it kept in memory when there are too many", async () => {
    await using rig = await openRig({
      layers: [one],
      capBytes: 4096,
      scheduler: { maxMemoryBytes: 150_000 },
    });
    for (const span of [3, 9, 12, 3]) {
      const { start, end } = inside(rig, span);
      expect(await rig.read(0, start, end)).toBe(true);
    }
    expect(rig.stats()).toMatchObject({ memorySpans: 4, evictedSpans: 1 });
  });

  test("waits for a span that another process fills", async () => {
    await using rig = await openRig({ layers: [one] });
    const claim = rig.cached[0]?.claim(6);
    if (claim === undefined || typeof claim === "string") throw new Error("no claim");
    const { start, end } = inside(rig, 6);
    const reading = rig.read(0, start, end);
    await Bun.sleep(50);
    expect(rig.ranges()).toHaveLength(0);
    claim[Symbol.dispose]();
    expect(await reading).toBe(true);
    expect(rig.ranges()).toHaveLength(1);
  });

  test("shares a layer with another process: each span is fetched by one of them", async () => {
    await using rig = await openRig({ layers: [one], line: { delayMs: 5 } });
    await using twin = await openRig({ layers: [one], line: { delayMs: 5 }, root: rig.root });
    const { dataSize = 0, spanCount = 0 } = rig.cached[0]?.geometry ?? {};
    const step = 90_001;
    const reads: Promise<boolean>[] = [];
    for (let start = 0; start < dataSize; start += step) {
      const end = Math.min(start + step, dataSize);
      reads.push(rig.read(0, start, end), twin.read(0, dataSize - end, dataSize - start));
    }
    expect(await Promise.all(reads)).not.toContain(false);
    expect(rig.stats().spans + twin.stats().spans).toBe(spanCount);
  });

  test("reads right with 8 readers and a cache of a tenth of the layer", async () => {
    await using rig = await openRig({
      layers: [big],
      capBytes: 1_700_000,
      scheduler: { maxMemoryBytes: 500_000 },
    });
    const { dataSize = 0, spanCount = 0 } = rig.cached[0]?.geometry ?? {};
    const readers = Array.from({ length: 8 }, async (_, reader) => {
      for (let i = 0; i < 40; i++) {
        const start = ((i * 7919 + reader * 104_729) % 1000) * ((dataSize - 50_000) / 1000);
        expect(await rig.read(0, Math.floor(start), Math.floor(start) + 40_000)).toBe(true);
      }
    });
    await Promise.all(readers);
    expect(rig.stats().spans).toBeGreaterThan(spanCount);
    expect(rig.records.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("refetches a layer without spans as a whole, once for all who want it", async () => {
    await using rig = await openRig({ layers: [one], whole: true });
    let calls = 0;
    const layer = rig.cached[0];
    if (layer === undefined) throw new Error("no layer");
    rig.addWhole(async () => {
      calls += 1;
      await Bun.sleep(20);
      rig.fillWhole();
    });
    const reads = await Promise.all([rig.read(0, 0, 1000), rig.read(0, 5000, 9000)]);
    expect(reads).toEqual([true, true]);
    expect(calls).toBe(1);
  });

  test("lets go of who waits too long for a whole layer, and goes on with it", async () => {
    await using rig = await openRig({
      layers: [one],
      whole: true,
      scheduler: { deadlineMs: 20 },
    });
    const arrived = Promise.withResolvers<void>();
    using ending = new DisposableStack();
    ending.defer(arrived.resolve);
    const signals: AbortSignal[] = [];
    rig.addWhole(async (signal) => {
      signals.push(signal);
      await arrived.promise;
      rig.fillWhole();
    });
    const late = { kind: "unavailable", message: expect.stringContaining("within 20 ms") };
    const reads = [rig.read(0, 0, 1000), rig.read(0, 5000, 9000)].map(rejectionOf);
    expect(await Promise.all(reads)).toMatchObject([late, late]);
    expect(await rejectionOf(rig.read(0, 0, 1000))).toMatchObject(late);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    const errors = rig.records.filter(({ level }) => level === "error");
    expect(new Set(errors.map(({ message }) => message))).toEqual(
      new Set(["layer cannot be had in time"]),
    );
    const last = rig.scheduler.want(0, 0, 1000, { priority: "prefetch" });
    arrived.resolve();
    await last;
    expect(await rig.read(0, 0, 1000)).toBe(true);
    expect(signals.length).toBe(1);
  });

  test("ends a whole layer that nobody waits for any more when it goes, before it is gone", async () => {
    await using rig = await openRig({ layers: [one], whole: true, scheduler: { deadlineMs: 20 } });
    let hasEnded = false;
    rig.addWhole(async (signal) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await Bun.sleep(1);
      hasEnded = true;
      throw signal.reason;
    });
    expect(await rejectionOf(rig.read(0, 0, 1000))).toMatchObject({ kind: "unavailable" });
    expect(hasEnded).toBe(false);
    const waiting = rejectionOf(rig.scheduler.want(0, 0, 1000, { priority: "prefetch" }));
    await rig.scheduler.removeLayer(0);
    expect(hasEnded).toBe(true);
    expect(await waiting).toMatchObject({ name: "AbortError" });
  });
});
