import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { SchedulerStats } from "../../src/fetch/scheduler-stats.ts";
import { SpanScheduler, type SpanSchedulerOptions } from "../../src/fetch/span-scheduler.ts";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import { geometryOf, wholeGeometry } from "../../src/cache/encode-geometry.ts";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { READ_SLACK_BYTES } from "../../src/cache/layer-reader.ts";
import { SpanWriter } from "../../src/cache/span-writer.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import { HttpClient, type HttpClientOptions } from "../../src/oci/http.ts";
import type { ImageSource } from "../../src/oci/image-source.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { RegistrySource } from "../../src/oci/registry-source.ts";
import { InflatePool } from "../../src/threads/inflate-pool.ts";
import { spawnInflateWorker } from "../../src/workers.ts";
import type { Ztoc } from "../../src/ztoc/ztoc.ts";
import type { BuiltLayer } from "../support/image-builder.ts";
import { buildTar, layerOf } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import { LatencyProxy, type LatencyProxyOptions } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { tempDir } from "../support/temp-dir.ts";

/** A layer with its zTOC. */
export interface RigLayer {
  readonly layer: BuiltLayer;
  readonly ztoc: Ztoc;
}

export interface SampleLayerOptions {
  readonly bytes: number;
  readonly spanSize?: number;
  readonly compression?: "gzip" | "none";
  readonly seed?: number;
}

export async function sampleLayer({
  bytes,
  spanSize = 65_536,
  compression = "gzip",
  seed = 1,
}: SampleLayerOptions): Promise<RigLayer> {
  const layer = layerOf(
    await buildTar([{ name: `file-${seed}`, content: sampleBytes(bytes, seed) }]),
    compression,
  );
  const algorithm = compression === "gzip" ? "gzip" : "uncompressed";
  const { ztoc } = await ztocOf(layer.bytes, { algorithm, spanSize });
  return { layer, ztoc };
}

export interface RigOptions {
  readonly layers: readonly RigLayer[];
  readonly manners?: Partial<RegistryManners>;
  readonly line?: Omit<LatencyProxyOptions, "target">;
  readonly scheduler?: Partial<SpanSchedulerOptions>;
  readonly http?: HttpClientOptions;
  readonly threads?: number;
  /** Another registry than the rig's own. */
  readonly host?: string;
  /** State root of another rig, as another process would use it. */
  readonly root?: string;
  /** Of the cache. */
  readonly capBytes?: number;
  /** Take the layers for ones whose spans cannot be had one by one, and leave them to addWhole(). */
  readonly whole?: boolean;
}

export interface Rig extends AsyncDisposable {
  readonly root: string;
  readonly registry: TestRegistry;
  readonly source: ImageSource;
  readonly scheduler: SpanScheduler;
  readonly cached: readonly CachedLayer[];
  readonly records: LogRecord[];
  /** Reads by way of the scheduler, and compares; whether it is right. */
  read(layer: number, start: number, end: number, signal?: AbortSignal): Promise<boolean>;
  /** Ranges asked of the registry for blobs, as [start, end). */
  ranges(): (readonly [number, number])[];
  stats(): SchedulerStats;
  /** Schedules the first layer, which comes as a whole. */
  addWhole(refetchWhole: (signal: AbortSignal) => Promise<void>): void;
  /** Makes the first layer present. */
  fillWhole(): void;
}

/** Registry, line, cache, inflate threads and a scheduler over them: all real. */
export async function openRig({
  layers,
  manners = {},
  line,
  scheduler: options = {},
  http,
  threads = 2,
  host: otherHost,
  root,
  capBytes,
  whole = false,
}: RigOptions): Promise<Rig> {
  await using resources = new AsyncDisposableStack();
  const registry = resources.use(TestRegistry.start(manners));
  for (const { layer } of layers) await registry.addBlob("app", layer.bytes);
  const proxy =
    line === undefined
      ? undefined
      : resources.use(await LatencyProxy.start({ target: registry.host, ...line }));
  const host = otherHost ?? proxy?.host ?? registry.host;
  const records: LogRecord[] = [];
  const log = createLogger({ level: "debug", sink: (record) => records.push(record) });
  const reference = parseReference(`${host}/app:v1`);
  const { registry: at, repository } = reference;
  const client = new RegistryClient({
    registry: at,
    repository,
    plainHttp: true,
    http: new HttpClient(http),
  });
  const source = resources.use(new RegistrySource({ reference, client }));
  const dir = resources.use(await tempDir());
  // Apart from what earlier tests have left behind: inode numbers of their directories come again.
  const sharedMemory = join(root ?? dir.path, "shm");
  await mkdir(sharedMemory, { recursive: true });
  const cache = resources.use(
    await LayerCache.open({ root: root ?? dir.path, capBytes, log, sharedMemory }),
  );
  const cached: CachedLayer[] = [];
  for (const { layer, ztoc } of layers) {
    const nothing = new Uint8Array(0);
    const sizes = { compressedSize: layer.bytes.length, uncompressedSize: layer.tar.length };
    const geometry = whole ? wholeGeometry(sizes) : geometryOf(ztoc);
    const parts = { geometry, entries: nothing, inodes: nothing };
    cached.push(resources.use(await cache.createLayer(layer.descriptor.digest, parts)));
  }
  const pool = resources.use(new InflatePool({ spawn: spawnInflateWorker, count: threads }));
  const scheduler = resources.use(new SpanScheduler({ filler: pool, cache, log, ...options }));
  for (const [id, layer] of cached.entries()) {
    const { descriptor } = layers[id]?.layer ?? {};
    if (descriptor === undefined) throw new Error("no such layer");
    if (!whole) scheduler.addLayer({ id, layer, descriptor, source });
  }
  const owned = resources.move();
  return {
    root: root ?? dir.path,
    registry,
    source,
    scheduler,
    cached,
    records,
    read: async (id, start, end, signal) => {
      const bytes = new Uint8Array(end - start + 2 * READ_SLACK_BYTES);
      await scheduler.read(id, start, end, bytes, { at: READ_SLACK_BYTES, signal });
      const want = layers[id]?.layer.tar.subarray(start, end) ?? new Uint8Array(0);
      return Buffer.from(want).equals(
        bytes.subarray(READ_SLACK_BYTES, READ_SLACK_BYTES + end - start),
      );
    },
    ranges: () =>
      registry.requests
        .filter(({ method, path }) => method === "GET" && path.includes("/blobs/"))
        .map(({ range }) => {
          const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
          return [Number(first), Number(last) + 1] as const;
        }),
    stats: () => scheduler.stats,
    addWhole: (refetchWhole) => {
      const [layer] = cached;
      const { descriptor } = layers[0]?.layer ?? {};
      if (layer === undefined || descriptor === undefined) throw new Error("no layer");
      scheduler.addLayer({ id: 0, layer, descriptor, source, refetchWhole });
    },
    fillWhole: () => {
      const [layer] = cached;
      const { tar } = layers[0]?.layer ?? {};
      const claim = layer?.claimAll();
      if (layer === undefined || tar === undefined || typeof claim !== "object") {
        throw new Error("no layer to fill");
      }
      for (let span = 0; span < layer.geometry.spanCount; span++) {
        const start = layer.geometry.uncompressedStart(span);
        const end = layer.geometry.uncompressedEnd(span);
        new SpanWriter(layer.files, span).write(tar.subarray(start, end));
      }
      claim.markPresent();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Some bytes in the middle of a span. */
export function inside(rig: Rig, span: number, layer = 0): { start: number; end: number } {
  const { geometry } = rig.cached[layer] ?? {};
  if (geometry === undefined) throw new Error("no such layer");
  return {
    start: geometry.uncompressedStart(span) + 100,
    end: geometry.uncompressedEnd(span) - 100,
  };
}
