import { describe, expect, test } from "bun:test";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import { FaultyServer } from "./faulty-server.ts";
import { openRig, type Rig, sampleLayer } from "./scheduler-rig.ts";

const one = await sampleLayer({ bytes: 3_000_000 });
const blob = /\/blobs\//;
const dataSize = one.ztoc.uncompressedArchiveSize;
/** Patience of the HTTP client, short for tests. */
const HURRIED = { idleTimeoutMs: 2000 };

async function readAll(rig: Rig): Promise<boolean> {
  return await rig.read(0, 0, dataSize);
}

function inside(rig: Rig, span: number): { start: number; end: number } {
  const { geometry } = rig.cached[0] ?? {};
  const start = (geometry?.uncompressedStart(span) ?? 0) + 100;
  return { start, end: start + 1000 };
}

async function readSpan(rig: Rig, span: number): Promise<boolean> {
  const { start, end } = inside(rig, span);
  return await rig.read(0, start, end);
}

function errors(rig: Rig): readonly string[] {
  return rig.records.filter(({ level }) => level === "error").map(({ message }) => message);
}

describe("SpanScheduler and faults", () => {
  test.each([
    { title: "500", failure: { status: 500 } },
    { title: "502", failure: { status: 502 } },
    { title: "503 with Retry-After", failure: { status: 503, headers: { "retry-after": "1" } } },
    { title: "429 with Retry-After", failure: { status: 429, headers: { "retry-after": "1" } } },
    { title: "403", failure: { status: 403 } },
    { title: "404", failure: { status: 404 } },
  ])("asks again after status $title", async ({ failure }) => {
    await using rig = await openRig({ layers: [one] });
    rig.registry.failNext(2, { ...failure, path: blob });
    expect(await readAll(rig)).toBe(true);
    expect(rig.stats().evictedSpans).toBe(0);
    expect(errors(rig)).toEqual([]);
  });

  test("waits for as long as Retry-After says, with everything it asks of that source", async () => {
    await using rig = await openRig({ layers: [one] });
    rig.registry.failNext(1, { status: 429, headers: { "retry-after": "1" }, path: blob });
    const started = performance.now();
    const first = readSpan(rig, 3);
    await Bun.sleep(100);
    expect(await Promise.all([first, readSpan(rig, 20), readSpan(rig, 30)])).toEqual([
      true,
      true,
      true,
    ]);
    expect(performance.now() - started).toBeGreaterThan(990);
    expect(rig.registry.requests.filter(({ status }) => status === 429)).toHaveLength(1);
  });

  test("goes on where a body was cut off, without asking for its start again", async () => {
    await using rig = await openRig({ layers: [one] });
    rig.registry.cutNext(3, { at: 100_000, path: blob });
    expect(await readAll(rig)).toBe(true);
    const starts = rig.ranges().map(([start]) => start);
    expect(starts).toHaveLength(4);
    for (const [i, start] of starts.slice(1).entries()) {
      expect(start - (starts[i] ?? 0)).toBeGreaterThan(50_000);
    }
  });

  test("reads by connections that break after every few thousand bytes", async () => {
    await using rig = await openRig({ layers: [one], line: { resetAfterBytes: 50_000 } });
    expect(await readAll(rig)).toBe(true);
    expect(errors(rig)).toEqual([]);
  });

  test("asks for a span again whose bytes are wrong, past caches, and says so", async () => {
    await using rig = await openRig({ layers: [one] });
    rig.registry.corruptNext(1, { at: 1000, path: blob });
    expect(await readSpan(rig, 7)).toBe(true);
    expect(rig.ranges()).toHaveLength(2);
    expect(rig.registry.requests.at(-1)?.headers.get("cache-control")).toBe("no-cache");
    expect(rig.stats()).toMatchObject({ wrongSpans: 1, evictedSpans: 0 });
    expect(rig.records.filter(({ level }) => level === "warn")).toMatchObject([
      { message: "span refetched", fields: { span: 7, layer: one.layer.descriptor.digest } },
    ]);
  });

  test("refetches only the wrong one of the spans of a request", async () => {
    await using rig = await openRig({ layers: [one] });
    const { geometry } = rig.cached[0] ?? {};
    const at = (geometry?.compressedStart(5) ?? 0) - (geometry?.compressedStart(0) ?? 0) + 50;
    rig.registry.corruptNext(1, { at, path: blob });
    expect(await readAll(rig)).toBe(true);
    expect(rig.ranges().slice(1)).toEqual([
      [geometry?.compressedStart(5) ?? 0, geometry?.compressedEnd(5) ?? 0],
    ]);
  });

  test("gives up on a span that stays wrong with one line, and tries again when asked again", async () => {
    await using rig = await openRig({ layers: [one] });
    rig.registry.corruptNext(4, { at: 1000, path: blob });
    const reads = await Promise.allSettled([readSpan(rig, 7), readSpan(rig, 7)]);
    for (const read of reads) {
      expect(read).toMatchObject({ status: "rejected", reason: { kind: "data-loss" } });
    }
    expect(rig.ranges()).toHaveLength(4);
    const told = rig.records.filter(({ level }) => level === "error");
    expect(told).toMatchObject([
      {
        message: "span cannot be had",
        fields: { span: 7, layer: one.layer.descriptor.digest, source: rig.source.name },
      },
    ]);
    expect(String(told[0]?.fields["reason"])).toContain("digest is");
    expect(rig.cached[0]?.isPresent(7)).toBe(false);
    expect(await readSpan(rig, 7)).toBe(true);
  });

  test("fails for good on a blob that is not there, and serves the others", async () => {
    await using rig = await openRig({ layers: [one] });
    rig.registry.failNext(4, { status: 404, path: blob });
    await expect(readSpan(rig, 7)).rejects.toMatchObject({ kind: "not-found" });
    expect(errors(rig)).toEqual(["span cannot be had"]);
    expect(await readSpan(rig, 7)).toBe(true);
  });

  test("takes whole blobs where ranges are not given, and all spans out of one", async () => {
    await using rig = await openRig({ layers: [one], manners: { ignoreRange: true } });
    for (const span of [30, 3, 17, 40]) expect(await readSpan(rig, span)).toBe(true);
    expect(await readAll(rig)).toBe(true);
    // The first only shows that it is so.
    expect(rig.registry.requests.length).toBeLessThanOrEqual(3);
    expect(rig.stats().evictedSpans).toBe(0);
  });

  test.each([
    { title: "refuses ranges", manners: { refuseRange: 416 } },
    { title: "answers ranges in small pieces", manners: { maxRangeBytes: 10_000 } },
    { title: "answers ranges as multipart", manners: { multipartRanges: true } },
    { title: "labels blobs as gzip-encoded", manners: { contentEncodingGzipOnBlobs: true } },
  ])("reads from a registry that $title", async ({ manners }) => {
    await using rig = await openRig({ layers: [one], manners });
    for (const span of [30, 3, 17]) expect(await readSpan(rig, span)).toBe(true);
    expect(await readAll(rig)).toBe(true);
    expect(errors(rig)).toEqual([]);
  });

  test("asks the registry again when a signed link has expired in the middle", async () => {
    await using storage = TestRegistry.start();
    await storage.addBlob("store", one.layer.bytes);
    let epoch = 0;
    await using rig = await openRig({
      layers: [one],
      manners: {
        redirectBlobsTo: (digest) => `${storage.url}/v2/store/blobs/${digest}?epoch=${epoch}`,
      },
    });
    expect(await readSpan(rig, 3)).toBe(true);
    storage.failNext(1000, { status: 403, path: /epoch=0/ });
    epoch = 1;
    expect(await readAll(rig)).toBe(true);
    expect(errors(rig)).toEqual([]);
  });

  test("goes on with another connection when a server falls silent in the middle of a body", async () => {
    await using server = FaultyServer.start(one.layer.bytes);
    await using rig = await openRig({ layers: [one], host: server.host });
    server.stallAfter = 30_000;
    server.stalls = 1;
    const started = performance.now();
    expect(await readAll(rig)).toBe(true);
    expect(performance.now() - started).toBeLessThan(6000);
    expect(rig.stats().stalls).toBe(1);
    expect(errors(rig)).toEqual([]);
  });

  test("reads on when the registry was gone for a while", async () => {
    await using server = FaultyServer.start(one.layer.bytes);
    await using rig = await openRig({ layers: [one], host: server.host, http: HURRIED });
    expect(await readSpan(rig, 1)).toBe(true);
    await server.stop();
    const reads = [5, 15, 25, 35].map((span) => readSpan(rig, span));
    await Bun.sleep(2500);
    server.restart();
    const back = performance.now();
    expect(await Promise.all(reads)).toEqual([true, true, true, true]);
    expect(performance.now() - back).toBeLessThan(5000);
    expect(errors(rig)).toEqual([]);
    // It was not knocked at without a pause.
    const failed = rig.records.filter(({ message }) => message === "request failed");
    expect(failed.length).toBeLessThan(30);
    const told = rig.records.filter(({ level }) => level === "warn" || level === "info");
    expect(told.map(({ message }) => message)).toEqual([
      "source does not answer, asking again",
      "source answers again",
    ]);
  });

  test("fails at the deadline when the registry is gone for good, and frees who leaves at once", async () => {
    await using server = FaultyServer.start(one.layer.bytes);
    await using rig = await openRig({
      layers: [one],
      host: server.host,
      scheduler: { deadlineMs: 1500 },
    });
    await server.stop();
    const leave = new AbortController();
    const { start, end } = inside(rig, 9);
    const left = rig.read(0, start, end, leave.signal);
    const reading = readSpan(rig, 3);
    await Bun.sleep(200);
    const leaving = performance.now();
    leave.abort(new Error("interrupted"));
    await expect(left).rejects.toThrow("interrupted");
    expect(performance.now() - leaving).toBeLessThan(100);
    await expect(reading).rejects.toMatchObject({ kind: "unavailable" });
    const told = rig.records.filter(({ level }) => level === "error");
    expect(told).toMatchObject([{ message: "span cannot be had in time", fields: { span: 3 } }]);
    server.restart();
    expect(await readSpan(rig, 3)).toBe(true);
  });

  test("fills a layer in the background through resets, errors and wrong bytes", async () => {
    await using rig = await openRig({
      layers: [one],
      line: { delayMs: 5, resetAfterBytes: 60_000, resets: 12 },
    });
    rig.registry.failNext(3, { status: 503, path: blob });
    rig.registry.corruptNext(2, { at: 40_000, path: blob });
    const fill = rig.scheduler.fill(0);
    expect(await fill.done).toBe("complete");
    expect(fill.progress.bytes).toBe(fill.progress.totalBytes);
    expect(await readAll(rig)).toBe(true);
    expect(errors(rig)).toEqual([]);
  });

  test("a background fill says when spans cannot be had, after it has tried all others", async () => {
    await using server = FaultyServer.start(one.layer.bytes);
    await using rig = await openRig({ layers: [one], host: server.host });
    const { geometry } = rig.cached[0] ?? {};
    server.damageAt = (geometry?.compressedStart(11) ?? 0) + 100;
    const fill = rig.scheduler.fill(0);
    await expect(fill.done).rejects.toMatchObject({ kind: "data-loss" });
    expect(rig.cached[0]?.isPresent(11)).toBe(false);
    expect(rig.stats().spans).toBe((geometry?.spanCount ?? 0) - 1);
  });

  test("stops a background fill where it would have to evict, and serves demand from memory", async () => {
    await using rig = await openRig({ layers: [one], capBytes: 3_000_000 });
    expect(await rig.scheduler.fill(0).done).toBe("no-room");
    const { presentBytes = 0 } = rig.cached[0] ?? {};
    expect(presentBytes).toBeGreaterThan(500_000);
    expect(presentBytes).toBeLessThan(2_000_000);
    expect(await readAll(rig)).toBe(true);
  });

  test("is not held up for ever by a line that the proxy cuts again and again", async () => {
    await using registry = TestRegistry.start();
    await registry.addBlob("app", one.layer.bytes);
    await using proxy = await LatencyProxy.start({
      target: registry.host,
      delayMs: 10,
      resetAfterBytes: 20_000,
    });
    await using rig = await openRig({ layers: [one], host: proxy.host });
    expect(await rig.read(0, 100_000, 900_000)).toBe(true);
  });
});
