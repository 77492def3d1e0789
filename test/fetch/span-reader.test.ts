import { describe, expect, test } from "bun:test";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import { SpanReader } from "../../src/fetch/span-reader.ts";
import type { LayerRange } from "../../src/fetch/span-plan.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import { openImageSource } from "../../src/oci/open-image-source.ts";
import { buildTar, layerOf } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import { TestRegistry } from "../support/registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

const tar = await buildTar([{ name: "a", content: sampleBytes(2_000_000) }]);
const layer = layerOf(tar);
const { ztoc } = await ztocOf(layer.bytes);
const SPAN = 3;
const span = ztoc.zinfo.rangeOf(SPAN, ztoc);
/** Some bytes in the middle of that span. */
const INSIDE = { layer: 0, start: span.uncompressedStart + 100, end: span.uncompressedEnd - 100 };

type Manners = Parameters<typeof TestRegistry.start>[0];

async function open(
  ranges: readonly LayerRange[],
  {
    manners = {},
    signal,
    ztoc: shown = ztoc,
  }: { manners?: Manners; signal?: AbortSignal; ztoc?: typeof ztoc } = {},
) {
  await using resources = new AsyncDisposableStack();
  const registry = resources.use(TestRegistry.start(manners));
  await registry.addBlob("app", layer.bytes);
  const source = resources.use(await openImageSource(`${registry.host}/app:v1`));
  const records: LogRecord[] = [];
  const log = createLogger({ level: "warn", sink: (record) => records.push(record) });
  const owned = resources.move();
  const start = () => {
    const layers = [{ descriptor: layer.descriptor, ztoc: shown }];
    const engine = new WasmEngine();
    return owned.use(new SpanReader(ranges, { source, layers, engine, log, signal }));
  };
  return { registry, records, start, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function readAll(reader: SpanReader, range = 0): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader.read(range)) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}

function isSlice(bytes: Uint8Array, { start, end }: LayerRange): boolean {
  return Buffer.from(tar.subarray(start, end)).equals(bytes);
}

describe("SpanReader", () => {
  test("reads a range inside a span with one request for that span", async () => {
    await using opened = await open([INSIDE]);
    expect(isSlice(await readAll(opened.start()), INSIDE)).toBe(true);
    expect(opened.registry.requests).toMatchObject([
      { status: 206, bytes: span.compressedEnd - span.compressedStart },
    ]);
  });

  test("reads a range over many spans with one request", async () => {
    const range = { layer: 0, start: 1000, end: 1_500_000 };
    await using opened = await open([range]);
    expect(isSlice(await readAll(opened.start()), range)).toBe(true);
    expect(opened.registry.requests).toHaveLength(1);
  });

  test("reads ranges that share a span with one request", async () => {
    const ranges = [INSIDE, { ...INSIDE, end: INSIDE.end - 50 }];
    await using opened = await open(ranges);
    const reader = opened.start();
    const read = [await readAll(reader, 0), await readAll(reader, 1)];
    expect(read.map((bytes, i) => isSlice(bytes, ranges[i] ?? INSIDE))).toEqual([true, true]);
    expect(opened.registry.requests).toHaveLength(1);
  });

  test("starts the requests of all ranges before the first is read", async () => {
    const ranges = [0, 5, 10].map((id) => {
      const { uncompressedStart: start } = ztoc.zinfo.rangeOf(id, ztoc);
      return { layer: 0, start, end: start + 10 };
    });
    await using opened = await open(ranges);
    opened.start();
    for (let i = 0; i < 200 && opened.registry.requests.length < 3; i++) await Bun.sleep(5);
    expect(opened.registry.requests).toHaveLength(3);
  });

  test.each([
    { title: "ignores ranges", manners: { ignoreRange: true } },
    { title: "answers ranges in small pieces", manners: { maxRangeBytes: 1000 } },
    { title: "labels blobs as gzip-encoded", manners: { contentEncodingGzipOnBlobs: true } },
  ])("gives the right bytes from a registry that $title", async ({ manners }) => {
    await using opened = await open([INSIDE], { manners });
    expect(isSlice(await readAll(opened.start()), INSIDE)).toBe(true);
  });

  test.each([
    { title: "ends behind the archive", start: ztoc.uncompressedArchiveSize - 10 },
    { title: "lies behind the archive", start: ztoc.uncompressedArchiveSize + 4096 },
  ])("refuses a range that $title, instead of giving fewer bytes", async ({ start }) => {
    await using opened = await open([{ layer: 0, start, end: start + 20 }]);
    await expect(readAll(opened.start())).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("refuses a span that no memory can hold", async () => {
    const last = ztoc.zinfo.rangeOf(ztoc.maxSpanId, ztoc);
    const range = { layer: 0, start: last.uncompressedStart, end: last.uncompressedStart + 1 };
    await using opened = await open([range], { ztoc: { ...ztoc, compressedArchiveSize: 1e12 } });
    await expect(readAll(opened.start())).rejects.toMatchObject({ kind: "unsupported" });
    expect(opened.registry.requests).toHaveLength(0);
  });

  test("goes on where a connection broke", async () => {
    await using opened = await open([INSIDE]);
    opened.registry.cutNext(1, { at: 1000 });
    expect(isSlice(await readAll(opened.start()), INSIDE)).toBe(true);
  });

  test("fetches a span with wrong bytes again, and says so", async () => {
    await using opened = await open([INSIDE]);
    opened.registry.corruptNext(1, { at: 1000 });
    expect(isSlice(await readAll(opened.start()), INSIDE)).toBe(true);
    expect(opened.registry.requests).toHaveLength(2);
    expect(opened.records).toMatchObject([
      { message: "span refetched", fields: { layer: layer.descriptor.digest, span: SPAN } },
    ]);
  });

  test("gives a refetched span to the next range too, without asking again", async () => {
    await using opened = await open([INSIDE, INSIDE]);
    opened.registry.corruptNext(1, { at: 1000 });
    const reader = opened.start();
    await readAll(reader, 0);
    expect(isSlice(await readAll(reader, 1), INSIDE)).toBe(true);
    expect(opened.registry.requests).toHaveLength(2);
  });

  test("gives up on a span that stays wrong, naming layer and span, without a byte of it", async () => {
    await using opened = await open([INSIDE]);
    opened.registry.corruptNext(100, { at: 1000 });
    const chunks: Uint8Array[] = [];
    const reading = (async () => {
      for await (const chunk of opened.start().read(0)) chunks.push(chunk);
    })();
    await expect(reading).rejects.toMatchObject({
      kind: "data-loss",
      message: expect.stringMatching(
        new RegExp(
          `span ${SPAN} .*${layer.descriptor.digest}|${layer.descriptor.digest}.* span ${SPAN}`,
        ),
      ),
    });
    expect(chunks).toEqual([]);
    expect(opened.registry.requests).toHaveLength(3);
  });

  test("reports a refetch that fails once, and leaves no rejection behind", async () => {
    await using opened = await open([INSIDE]);
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", onUnhandled);
    opened.registry.corruptNext(1, { at: 1000 });
    const reader = opened.start();
    for (let i = 0; i < 200 && opened.registry.requests.length < 1; i++) await Bun.sleep(5);
    opened.registry.failNext(1, { status: 404, path: /blobs/ });
    await expect(readAll(reader)).rejects.toMatchObject({ kind: "not-found" });
    await Bun.sleep(20);
    process.off("unhandledRejection", onUnhandled);
    expect(unhandled).toEqual([]);
  });

  test("throws what the registry says when a span cannot be had", async () => {
    await using opened = await open([INSIDE]);
    opened.registry.failNext(1, { status: 404, path: /blobs/ });
    await expect(readAll(opened.start())).rejects.toMatchObject({ kind: "not-found" });
  });

  test("throws the signal's reason", async () => {
    const reason = new Error("enough");
    const abort = new AbortController();
    await using opened = await open([INSIDE], { signal: abort.signal });
    const reading = readAll(opened.start());
    abort.abort(reason);
    await expect(reading).rejects.toBe(reason);
  });

  test("closes twice, and in the middle of a read, without waiting for the rest", async () => {
    await using opened = await open([{ layer: 0, start: 0, end: tar.length }]);
    const reader = opened.start();
    await reader.read(0).next();
    await reader[Symbol.asyncDispose]();
    await reader[Symbol.asyncDispose]();
    expect(opened.registry.requests.length).toBeLessThanOrEqual(1);
  });
});
