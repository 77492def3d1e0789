import { describe, expect, test } from "bun:test";
import { MISS } from "../../src/cache/layer-reader.ts";
import { inside, openRig, sampleLayer } from "./scheduler-rig.ts";

const one = await sampleLayer({ bytes: 3_000_000 });
const other = await sampleLayer({ bytes: 1_000_000, seed: 2 });
const plain = await sampleLayer({ bytes: 1_000_000, compression: "none" });

/** Each span's compressed bytes are asked for at most once; a byte that two share may be twice. */
function overlapOf(ranges: readonly (readonly [number, number])[]): number {
  const sorted = ranges.toSorted(([a], [b]) => a - b);
  let overlap = 0;
  let end = 0;
  for (const [start, to] of sorted) {
    overlap = Math.max(overlap, end - start);
    end = Math.max(end, to);
  }
  return overlap;
}

async function until(isSo: () => boolean, ms = 5000): Promise<void> {
  for (const end = Date.now() + ms; !isSo() && Date.now() < end;) await Bun.sleep(2);
}

describe("SpanScheduler", () => {
  test("reads bytes inside a span by one request for that span", async () => {
    await using rig = await openRig({ layers: [one] });
    const { start, end } = inside(rig, 7);
    expect(await rig.read(0, start, end)).toBe(true);
    const { geometry } = rig.cached[0] ?? {};
    expect(rig.ranges()).toEqual([
      [geometry?.compressedStart(7) ?? 0, geometry?.compressedEnd(7) ?? 0],
    ]);
    expect(rig.stats()).toMatchObject({ requests: 1, spans: 1 });
  });

  test.each([
    { title: "gzip", layer: one },
    { title: "plain tar", layer: plain },
  ])("reads every byte of a $title layer, each span once", async ({ layer }) => {
    await using rig = await openRig({ layers: [layer] });
    const { dataSize = 0, spanCount = 0 } = rig.cached[0]?.geometry ?? {};
    const step = 100_001;
    for (let start = 0; start < dataSize; start += step) {
      expect(await rig.read(0, start, Math.min(start + step, dataSize))).toBe(true);
    }
    expect(rig.stats()).toMatchObject({ spans: spanCount, evictedSpans: 0 });
    expect(overlapOf(rig.ranges())).toBeLessThanOrEqual(1);
  });

  test("reads a range over all spans by one request", async () => {
    await using rig = await openRig({ layers: [one] });
    expect(await rig.read(0, 0, rig.cached[0]?.geometry.dataSize ?? 0)).toBe(true);
    expect(rig.ranges()).toHaveLength(1);
  });

  test("joins what is asked for together, and what is asked for twice", async () => {
    await using rig = await openRig({ layers: [one], line: { delayMs: 30 } });
    const reads = [5, 4, 4, 3, 5].map((span) => {
      const { start, end } = inside(rig, span);
      return rig.read(0, start, end);
    });
    expect(await Promise.all(reads)).toEqual([true, true, true, true, true]);
    expect(rig.ranges()).toHaveLength(1);
    expect(rig.stats().spans).toBe(3);
  });

  test("reads many places of several layers at once", async () => {
    await using rig = await openRig({ layers: [one, other, plain], line: { delayMs: 5 } });
    const reads = rig.cached.flatMap(({ geometry }, layer) =>
      Array.from({ length: 40 }, (_, i) => {
        const start = Math.floor((geometry.dataSize * ((i * 17) % 40)) / 40);
        return rig.read(layer, start, Math.min(start + 5000, geometry.dataSize));
      }),
    );
    expect(await Promise.all(reads)).not.toContain(false);
    expect(rig.stats().evictedSpans).toBe(0);
  });

  test("says MISS before bytes are here, and gives them after want()", async () => {
    await using rig = await openRig({ layers: [one] });
    const { start, end } = inside(rig, 2);
    const bytes = new Uint8Array(end - start);
    expect(rig.scheduler.readRange(0, start, end, bytes, 0)).toBe(MISS);
    await rig.scheduler.want(0, start, end);
    expect(rig.scheduler.readRange(0, start, end, bytes, 0)).toBe(end - start);
    expect(Buffer.from(one.layer.tar.subarray(start, end)).equals(bytes)).toBe(true);
  });

  test("gives the first bytes of a large span before its end is inflated", async () => {
    const large = await sampleLayer({ bytes: 48 << 20, spanSize: 1 << 30 });
    await using rig = await openRig({ layers: [large] });
    await rig.scheduler.want(0, 512, 1024);
    const bytes = new Uint8Array(512);
    expect(rig.cached[0]?.isPresent(0)).toBe(false);
    expect(rig.scheduler.readRange(0, 512, 1024, bytes, 0)).toBe(512);
    expect(Buffer.from(large.layer.tar.subarray(512, 1024)).equals(bytes)).toBe(true);
    expect(await rig.read(0, 0, rig.cached[0]?.geometry.dataSize ?? 0)).toBe(true);
    expect(rig.ranges()).toHaveLength(1);
  });

  test.each([
    { title: "negative", start: -1, end: 10 },
    { title: "behind the layer's end", start: 3_100_000, end: 3_200_000 },
  ])("refuses a range that is $title", async ({ start, end }) => {
    await using rig = await openRig({ layers: [one] });
    await expect(rig.scheduler.want(0, start, end)).rejects.toMatchObject({ kind: "data-loss" });
    expect(rig.ranges()).toHaveLength(0);
  });

  test("serves demand before what was asked for earlier and can wait", async () => {
    await using rig = await openRig({
      layers: [one],
      line: { delayMs: 10, bytesPerSecond: 1_000_000 },
    });
    const fill = rig.scheduler.fill(0);
    await until(() => rig.stats().bytes.background > 100_000);
    const { start, end } = inside(rig, 36);
    expect(await rig.read(0, start, end)).toBe(true);
    expect(fill.isOver).toBe(false);
    expect(rig.cached[0]?.isPresent(30)).toBe(false);
    expect(await fill.done).toBe("complete");
    expect(await rig.read(0, 0, rig.cached[0]?.geometry.dataSize ?? 0)).toBe(true);
    expect(rig.stats().evictedSpans).toBe(0);
  });

  test("fills about what somebody reads before the rest", async () => {
    // More than a fill asks for at a time.
    const large = await sampleLayer({ bytes: 12_000_000, seed: 9 });
    await using rig = await openRig({
      layers: [large],
      line: { delayMs: 5, bytesPerSecond: 4_000_000 },
    });
    // Where somebody waits, a fill asks for little at a time.
    const first = inside(rig, 2);
    expect(await rig.read(0, first.start, first.end)).toBe(true);
    const fill = rig.scheduler.fill(0);
    await until(() => rig.stats().bytes.background > 100_000);
    const { start, end } = inside(rig, 130);
    expect(await rig.read(0, start, end)).toBe(true);
    await until(() => rig.cached[0]?.isPresent(131) === true);
    expect(fill.isOver).toBe(false);
    expect(await fill.done).toBe("complete");
    const { spanCount } = rig.cached[0]?.geometry ?? {};
    expect(rig.stats()).toMatchObject({ evictedSpans: 0, spans: spanCount });
  });

  test("orders prefetch before readahead before background", async () => {
    await using rig = await openRig({
      layers: [one],
      line: { delayMs: 10, bytesPerSecond: 2_000_000 },
      scheduler: { maxBytes: 100_000 },
    });
    const done: string[] = [];
    const note = async (name: string, wanted: Promise<unknown>): Promise<void> => {
      await wanted;
      done.push(name);
    };
    const { scheduler } = rig;
    const range = (first: number, last: number): [number, number] => [
      inside(rig, first).start,
      inside(rig, last).end,
    ];
    await Promise.all([
      note("background", scheduler.want(0, ...range(20, 25), { priority: "background" })),
      note("readahead", scheduler.want(0, ...range(10, 15), { priority: "readahead" })),
      note("prefetch", scheduler.want(0, ...range(30, 35), { priority: "prefetch" })),
      note("demand", scheduler.want(0, ...range(1, 2))),
    ]);
    expect(done).toEqual(["demand", "prefetch", "readahead", "background"]);
  });

  test("opens a request of its own for a demand that one under way would bring late", async () => {
    await using rig = await openRig({
      layers: [one],
      line: { delayMs: 5, bytesPerSecond: 500_000 },
    });
    const { scheduler, stats } = rig;
    // So that the line is known.
    expect(await rig.read(0, inside(rig, 0).start, inside(rig, 2).end)).toBe(true);
    const size = rig.cached[0]?.geometry.dataSize ?? 0;
    const ahead = scheduler.want(0, inside(rig, 3).start, size, { priority: "prefetch" });
    ahead.catch(() => undefined);
    await until(() => stats().bytes.prefetch > 20_000);
    const { start, end } = inside(rig, 20);
    expect(await rig.read(0, start, end)).toBe(true);
    expect(stats().overtakes).toBe(1);
    await ahead;
    expect(stats().spans).toBe(rig.cached[0]?.geometry.spanCount ?? 0);
    expect(await rig.read(0, 0, size)).toBe(true);
  });

  test("lets a demand wait for a request that will bring it soon", async () => {
    await using rig = await openRig({ layers: [one], line: { delayMs: 100 } });
    const { scheduler, stats } = rig;
    expect(await rig.read(0, inside(rig, 0).start, inside(rig, 0).end)).toBe(true);
    const ahead = scheduler.want(0, inside(rig, 3).start, inside(rig, 9).end, {
      priority: "prefetch",
    });
    await Bun.sleep(40);
    const { start, end } = inside(rig, 8);
    expect(await rig.read(0, start, end)).toBe(true);
    await ahead;
    expect(stats()).toMatchObject({ overtakes: 0, requests: 2 });
  });

  test("breaks a request off that nobody wants any more, and keeps what has come", async () => {
    await using rig = await openRig({
      layers: [one],
      line: { delayMs: 5, bytesPerSecond: 400_000 },
    });
    const leave = new AbortController();
    const size = rig.cached[0]?.geometry.dataSize ?? 0;
    const reading = rig.scheduler.want(0, 0, size, { signal: leave.signal });
    await until(() => rig.stats().bytes.demand > 100_000);
    leave.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
    await Bun.sleep(100);
    const { demand } = rig.stats().bytes;
    await Bun.sleep(100);
    expect(rig.stats().bytes.demand).toBe(demand);
    expect(demand).toBeLessThan(600_000);
    expect(rig.cached[0]?.isPresent(0)).toBe(true);
    expect(await rig.read(0, 0, size)).toBe(true);
    expect(rig.stats().evictedSpans).toBe(0);
  });

  test("goes on for those who stay when one of them leaves", async () => {
    await using rig = await openRig({ layers: [one], line: { delayMs: 30 } });
    const leave = new AbortController();
    const { start, end } = inside(rig, 8);
    const leaving = rig.read(0, start, end, leave.signal);
    const staying = rig.read(0, start, end);
    await Bun.sleep(10);
    leave.abort(new Error("gone"));
    await expect(leaving).rejects.toThrow("gone");
    expect(await staying).toBe(true);
    expect(rig.ranges()).toHaveLength(1);
  });

  test("asks for nothing when it is left before it could ask", async () => {
    await using rig = await openRig({ layers: [one] });
    const leave = new AbortController();
    const { start, end } = inside(rig, 8);
    const reading = rig.read(0, start, end, leave.signal);
    leave.abort(new Error("gone"));
    await expect(reading).rejects.toThrow("gone");
    await Bun.sleep(30);
    expect(rig.ranges()).toHaveLength(0);
  });

  test("reads ahead of a sequential reader", async () => {
    await using rig = await openRig({ layers: [one], line: { delayMs: 20 } });
    const step = 50_000;
    for (let start = 0; start < 600_000; start += step) {
      expect(await rig.read(0, start, start + step)).toBe(true);
    }
    expect(overlapOf(rig.ranges())).toBeLessThanOrEqual(1);
  });

  test("sees that a reader goes on in what was read ahead, though the cache answers it", async () => {
    await using rig = await openRig({ layers: [one], line: { delayMs: 10 } });
    const { reader, geometry } = {
      reader: rig.cached[0]?.files,
      geometry: rig.cached[0]?.geometry,
    };
    if (reader === undefined || geometry === undefined) throw new Error("no layer");
    for (const start of [0, 30_000, 60_000]) {
      expect(await rig.read(0, start, start + 30_000)).toBe(true);
    }
    await until(() => rig.stats().spans >= 5);
    const before = rig.stats().spans;
    // As a reader in another process does.
    reader.live.lastUse[4] = (reader.live.lastUse[4] ?? 0) + 1;
    await until(() => rig.stats().spans > before);
    expect(rig.stats().spans).toBeGreaterThan(before);
  });

  test("does not read ahead of a random reader", async () => {
    await using rig = await openRig({ layers: [one] });
    for (const span of [30, 5, 22, 13, 40, 2, 35]) {
      const { start } = inside(rig, span);
      expect(await rig.read(0, start + 30_000, start + 31_000)).toBe(true);
    }
    expect(rig.stats()).toMatchObject({ spans: 7, bytes: { readahead: 0 } });
  });

  test("cancels what is wanted when it is closed", async () => {
    await using rig = await openRig({
      layers: [one],
      line: { delayMs: 20, bytesPerSecond: 400_000 },
    });
    const fill = rig.scheduler.fill(0);
    const reading = rig.scheduler.want(0, 0, 3_000_000);
    reading.catch(() => undefined);
    await Bun.sleep(100);
    await rig.scheduler[Symbol.asyncDispose]();
    await expect(reading).rejects.toMatchObject({ name: "AbortError" });
    expect(await fill.done).toBe("stopped");
    await expect(rig.scheduler.want(0, 0, 10)).rejects.toThrow();
  });
});
