import { describe, expect, test } from "bun:test";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import { geometryOf } from "../../src/cache/encode-geometry.ts";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { LayerReader } from "../../src/cache/layer-reader.ts";
import { CompressedBody, releaseSpan } from "../../src/fetch/compressed-body.ts";
import { SharedChunks } from "../../src/fetch/shared-chunks.ts";
import type { FillHandle, FillOutcome } from "../../src/fetch/span-filler.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { InflatePool, type InflatePort } from "../../src/threads/inflate-pool.ts";
import { spawnInflateWorker } from "../../src/workers.ts";
import { type RigLayer, sampleLayer } from "../fetch/scheduler-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

const small = await sampleLayer({ bytes: 1_000_000 });
const large = await sampleLayer({ bytes: 40 << 20, spanSize: 8 << 20 });

interface FillOptions {
  readonly urgency?: number;
  readonly wantEnd?: number;
  readonly toMemory?: boolean;
  /** Bytes given at first; the rest by append(). */
  readonly first?: number;
  readonly onReached?: () => void;
  /** Change the compressed bytes before they are given. */
  readonly damage?: (bytes: Uint8Array) => void;
}

async function open(
  rigLayer: RigLayer,
  { count = 2, spawn = spawnInflateWorker }: { count?: number; spawn?: () => InflatePort } = {},
) {
  await using resources = new AsyncDisposableStack();
  const dir = resources.use(await tempDir());
  const cache = resources.use(await LayerCache.open({ root: dir.path, log: NO_LOG }));
  const { layer, ztoc } = rigLayer;
  const nothing = new Uint8Array(0);
  const cached: CachedLayer = resources.use(
    await cache.createLayer(layer.descriptor.digest, {
      geometry: geometryOf(ztoc),
      entries: nothing,
      inodes: nothing,
    }),
  );
  const pool = resources.use(new InflatePool({ spawn, count }));
  pool.openLayer(5, cached.handle);
  const chunks = new SharedChunks();
  const { geometry } = cached;
  const fill = (
    span: number,
    { urgency = 0, wantEnd = 0, toMemory = false, first, onReached, damage }: FillOptions = {},
  ) => {
    const [start, end] = [geometry.compressedStart(span), geometry.compressedEnd(span)];
    const bytes = layer.bytes.slice(start, end);
    damage?.(bytes);
    const body = new CompressedBody(chunks, start);
    body.append(bytes.subarray(0, first));
    const given = body.cut(start, body.end);
    const ended = Promise.withResolvers<FillOutcome>();
    const handle: FillHandle = pool.fill(
      {
        layer: 5,
        span,
        uncompressedStart: geometry.uncompressedStart(span),
        compressed: given,
        isComplete: first === undefined,
        urgency,
        wantEnd,
        toMemory,
      },
      { onReached: onReached ?? (() => undefined), onEnd: (outcome) => ended.resolve(outcome) },
    );
    return {
      handle,
      ended: ended.promise.finally(() => releaseSpan(chunks, given)),
      append: (to?: number) => {
        body.append(bytes.subarray(body.end - start, to));
        handle.append(body.cut(start, body.end), body.end === end);
      },
    };
  };
  const isWritten = (span: number, end = geometry.uncompressedEnd(span)): boolean => {
    const start = geometry.uncompressedStart(span);
    const bytes = new Uint8Array(end - start);
    return (
      new LayerReader(cached.files).readFilled(start, end, bytes, 0) === end - start &&
      Buffer.from(layer.tar.subarray(start, end)).equals(bytes)
    );
  };
  const owned = resources.move();
  return { pool, fill, geometry, isWritten, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

describe("InflatePool", () => {
  test("fills spans, several at once, more than there are threads", async () => {
    await using opened = await open(small);
    const spans = Array.from({ length: opened.geometry.spanCount }, (_, span) => span);
    const outcomes = await Promise.all(spans.map((span) => opened.fill(span).ended));
    expect(outcomes.every(({ kind }) => kind === "filled")).toBe(true);
    expect(spans.every((span) => opened.isWritten(span))).toBe(true);
  });

  test("tells when what is waited for can be read, before the end of the span", async () => {
    await using opened = await open(large);
    const reached = Promise.withResolvers<void>();
    const wantEnd = opened.geometry.uncompressedStart(1) + 100_000;
    const fill = opened.fill(1, { wantEnd, onReached: () => reached.resolve() });
    await reached.promise;
    expect(fill.handle.reached).toBeGreaterThanOrEqual(wantEnd);
    expect(opened.isWritten(1, fill.handle.reached)).toBe(true);
    expect(await fill.ended).toEqual({ kind: "filled" });
  });

  test("tells it to who begins to wait while the span is filled", async () => {
    await using opened = await open(large);
    const reached = Promise.withResolvers<void>();
    const fill = opened.fill(1, { urgency: 3, onReached: () => reached.resolve() });
    const wantEnd = opened.geometry.uncompressedStart(1) + 500_000;
    fill.handle.want(0, wantEnd);
    await reached.promise;
    expect(fill.handle.reached).toBeGreaterThanOrEqual(wantEnd);
    await fill.ended;
  });

  test("does what is urgent before what was given earlier, half done or not", async () => {
    await using opened = await open(large, { count: 1 });
    const done: string[] = [];
    const all = [0, 1, 2, 3].map(async (span) => {
      await opened.fill(span, { urgency: 3 }).ended;
      done.push(`background ${span}`);
    });
    await Bun.sleep(10);
    await opened.fill(4, { urgency: 0 }).ended;
    done.push("demand");
    await Promise.all(all);
    expect(done.indexOf("demand")).toBeLessThan(3);
  });

  test("fills a span whose bytes come bit by bit, and tells nothing before the last is verified", async () => {
    await using opened = await open(large);
    let reached = 0;
    const { geometry } = opened;
    const wantEnd = geometry.uncompressedStart(2) + 1000;
    const fill = opened.fill(2, { first: 200_000, wantEnd, onReached: () => reached++ });
    for (let to = 400_000; to < geometry.compressedEnd(2) - geometry.compressedStart(2);) {
      fill.append(to);
      to += 300_000;
      await Bun.sleep(1);
    }
    await Bun.sleep(20);
    expect(reached).toBe(0);
    expect(fill.handle.reached).toBe(geometry.uncompressedStart(2));
    fill.append();
    expect(await fill.ended).toEqual({ kind: "filled" });
    expect(reached).toBe(1);
    expect(opened.isWritten(2)).toBe(true);
  });

  test("gives up a fill whose bytes will not come, and fills the span another time", async () => {
    await using opened = await open(large);
    const fill = opened.fill(2, { first: 200_000 });
    await Bun.sleep(10);
    fill.handle.abort();
    expect(await fill.ended).toEqual({ kind: "aborted" });
    expect(await opened.fill(2).ended).toEqual({ kind: "filled" });
    expect(opened.isWritten(2)).toBe(true);
  });

  test("says that bytes are wrong, be they given at once or bit by bit", async () => {
    await using opened = await open(large);
    const damage = (bytes: Uint8Array): void => {
      bytes[100] = ~(bytes[100] ?? 0);
    };
    expect(await opened.fill(3, { damage }).ended).toMatchObject({
      kind: "wrong",
      error: { kind: "data-loss" },
    });
    const slow = opened.fill(3, { damage, first: 500_000 });
    await Bun.sleep(10);
    slow.append();
    expect(await slow.ended).toMatchObject({ kind: "wrong" });
    expect(await opened.fill(3).ended).toEqual({ kind: "filled" });
  });

  test("hands the bytes back when they shall stay in memory", async () => {
    await using opened = await open(small);
    const outcome = await opened.fill(2, { toMemory: true }).ended;
    expect(outcome.kind).toBe("kept");
    const { geometry } = opened;
    const want = small.layer.tar.subarray(
      geometry.uncompressedStart(2),
      geometry.uncompressedEnd(2),
    );
    expect(outcome.kind === "kept" && Buffer.from(want).equals(outcome.bytes)).toBe(true);
    expect(opened.isWritten(2)).toBe(false);
  });

  test("fails the fills of a thread that dies, and goes on with another", async () => {
    let isFirst = true;
    const spawn = (): InflatePort => {
      const worker = spawnInflateWorker();
      if (!isFirst) return worker;
      isFirst = false;
      // A message that no thread understands.
      worker.postMessage({ kind: "fill" });
      return worker;
    };
    await using opened = await open(small, { count: 1, spawn });
    expect(await opened.fill(1).ended).toMatchObject({ kind: "failed" });
    expect(await opened.fill(1).ended).toEqual({ kind: "filled" });
  });

  test("refuses a fill of a layer that is not open", async () => {
    await using opened = await open(small);
    opened.pool.closeLayer(5);
    expect(() => opened.fill(1)).toThrow("layer 5 is not open");
  });

  test("forgets chunks, and learns them anew", async () => {
    await using opened = await open(small);
    expect(await opened.fill(1).ended).toEqual({ kind: "filled" });
    opened.pool.dropChunks([1, 2, 3]);
    expect(await opened.fill(2).ended).toEqual({ kind: "filled" });
  });

  test("refuses a count of threads below 1", () => {
    expect(() => new InflatePool({ spawn: spawnInflateWorker, count: 0 })).toThrow(RangeError);
  });
});
