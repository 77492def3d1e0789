import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { exposition } from "./exposition.ts";
import {
  type CountedOperation,
  EVICTION_KINDS,
  type EvictionKind,
  FETCH_CAUSES,
  type FetchCause,
  type ImageOperation,
  MICROSECOND_OPERATIONS,
  type MicrosecondOperation,
  MILLISECOND_OPERATIONS,
  type MillisecondOperation,
} from "./metric-names.ts";
import { addProcessMetrics } from "./process-metrics.ts";
import { Tallies, Tally } from "./tally.ts";

/** A layer that is shown. */
export interface LayerSize {
  readonly digest: string;
  readonly mountpoint: string;
  /** Of the blob. */
  readonly size: number;
  /** As much of it as is here. */
  readonly fetchedSize: number;
}

/** What is read off the daemon when metrics are asked for. */
export interface DaemonState {
  readonly layers: Iterable<LayerSize>;
  readonly cacheUsedBytes: number;
  readonly cacheCapBytes: number;
  readonly mountedImages: number;
}

export interface MetricsOptions {
  readonly now?: () => number;
}

// Powers of two, as the Go snapshotter has them.
const MILLISECOND_BUCKETS = Array.from({ length: 15 }, (_, power) => 2 ** power);
const MICROSECOND_BUCKETS = Array.from({ length: 11 }, (_, power) => 2 ** power);
const COLD_READ_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];
const FAILURE_STATE_EVERY_MS = 5 * 60 * 1000;

/**
 * The daemon's metrics: those of the Go snapshotter with its names and labels, and ours, which begin
 * with `sociable_`. Counting is an addition; the rest is done when somebody asks.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #milliseconds: Histogram<"layer" | "operation_type">;
  readonly #microseconds: Histogram<"layer" | "operation_type">;
  readonly #coldReads: Histogram;
  readonly #operations = new Tallies<CountedOperation>();
  readonly #bytesServed = new Tallies<"synchronous_bytes_served">();
  readonly #imageOperations = new Tallies<ImageOperation>();
  readonly #fetched = new Tallies<FetchCause>();
  readonly #evictions = new Tallies<EvictionKind>();
  readonly #fallbacks = new Tallies<string>();
  readonly #cacheHits = new Tally();
  readonly #cacheMisses = new Tally();
  readonly #now: () => number;
  #state: (() => DaemonState) | undefined;
  #failureStateAt = Number.NEGATIVE_INFINITY;

  constructor({ now = () => performance.now() }: MetricsOptions = {}) {
    this.#now = now;
    const registers = [this.#registry];
    const labelNames = ["layer", "operation_type"] as const;
    this.#milliseconds = new Histogram({
      name: "soci_fs_operation_duration_milliseconds",
      help: "Latency in milliseconds of operations, by operation type and layer.",
      labelNames,
      buckets: MILLISECOND_BUCKETS,
      registers,
    });
    this.#microseconds = new Histogram({
      name: "soci_fs_operation_duration_microseconds",
      help: "Latency in microseconds of operations, by operation type and layer.",
      labelNames,
      buckets: MICROSECOND_BUCKETS,
      registers,
    });
    this.#coldReads = new Histogram({
      name: "sociable_cold_read_seconds",
      help: "Time that reads waited whose bytes were not here.",
      buckets: COLD_READ_BUCKETS,
      registers,
    });
    this.#addGoMetrics();
    this.#addOwnMetrics();
    addProcessMetrics(this.#registry);
    // Tools look for this line before anything was ever dropped.
    this.counter("background_fetch_work_queue_evicted");
    for (const cause of FETCH_CAUSES) this.#fetched.of(cause);
    for (const kind of EVICTION_KINDS) this.#evictions.of(kind);
  }

  /** Where the numbers come from that nobody counts. */
  watch(state: () => DaemonState): void {
    this.#state = state;
  }

  /** A step has taken so long. */
  took(operation: MillisecondOperation, milliseconds: number, layer = ""): void {
    this.#milliseconds.observe({ layer, operation_type: operation }, milliseconds);
  }

  /** A short step has taken so long. */
  tookMicroseconds(operation: MicrosecondOperation, microseconds: number, layer = ""): void {
    this.#microseconds.observe({ layer, operation_type: operation }, microseconds);
  }

  /** To be kept by whoever counts often; no more to be used after forgetLayer(). */
  counter(operation: CountedOperation, layer = ""): Tally {
    return this.#operations.of(operation, layer);
  }

  count(operation: CountedOperation, { layer = "", times = 1 } = {}): void {
    this.#operations.of(operation, layer).add(times);
  }

  /** A failure that the kernel was told of: the state that alarms watch, once in five minutes at most. */
  fuseFailed(operation: CountedOperation, layer = ""): void {
    this.count(operation, { layer });
    const now = this.#now();
    if (now - this.#failureStateAt < FAILURE_STATE_EVERY_MS) return;
    this.#failureStateAt = now;
    this.count("fuse_failure_state");
  }

  /** Bytes given to readers. */
  served(bytes: number, layer = ""): void {
    this.#bytesServed.of("synchronous_bytes_served", layer).add(bytes);
  }

  /** The amount may be negative: the Go snapshotter's metric is a gauge. */
  imageOperation(operation: ImageOperation, image: string, amount = 1): void {
    this.#imageOperations.of(operation, image).add(amount);
  }

  coldRead(seconds: number): void {
    this.#coldReads.observe(seconds);
  }

  /** Bytes that came over the wire for layers. */
  fetched(cause: FetchCause, bytes: number): void {
    this.#fetched.of(cause).add(bytes);
  }

  cacheHit(times = 1): void {
    this.#cacheHits.add(times);
  }

  cacheMiss(times = 1): void {
    this.#cacheMisses.add(times);
  }

  evicted(kind: EvictionKind, times = 1): void {
    this.#evictions.of(kind).add(times);
  }

  /** A layer is left to containerd. `reason`: one of a few constant words. */
  fellBack(reason: string): void {
    this.#fallbacks.of(reason).add();
  }

  /** A layer is shown no more: its lines go. */
  forgetLayer(layer: string): void {
    if (layer === "") return;
    this.#operations.forget(layer);
    this.#bytesServed.forget(layer);
    removeLayer(this.#milliseconds, MILLISECOND_OPERATIONS, layer);
    removeLayer(this.#microseconds, MICROSECOND_OPERATIONS, layer);
  }

  /** An image is shown no more: its lines go. */
  forgetImage(image: string): void {
    this.#imageOperations.forget(image);
  }

  /** All metrics in Prometheus's text format, version 0.0.4. */
  async exposition(): Promise<string> {
    return exposition(await this.#registry.getMetricsAsJSON());
  }

  #addGoMetrics(): void {
    const registers = [this.#registry];
    const operations = this.#operations;
    new Counter({
      name: "soci_fs_operation_count",
      help: "The count of operations, by operation type and layer.",
      labelNames: ["layer", "operation_type"],
      registers,
      collect() {
        this.reset();
        for (const { first, second, value } of operations.all()) {
          this.inc({ layer: second, operation_type: first }, value);
        }
      },
    });
    const bytesServed = this.#bytesServed;
    new Gauge({
      name: "soci_fs_bytes_served",
      help: "The number of bytes served, by operation type and layer.",
      labelNames: ["layer", "operation_type"],
      registers,
      collect() {
        this.reset();
        for (const { first, second, value } of bytesServed.all()) {
          this.set({ layer: second, operation_type: first }, value);
        }
      },
    });
    const imageOperations = this.#imageOperations;
    new Gauge({
      name: "soci_fs_image_operation_count_key",
      help: "The count of operations, by operation type and image.",
      labelNames: ["image", "operation_type"],
      registers,
      collect() {
        this.reset();
        for (const { first, second, value } of imageOperations.all()) {
          this.set({ image: second, operation_type: first }, value);
        }
      },
    });
    this.#addLayerSizes("soci_fs_layer_size_bytes", {
      help: "Size of the layer.",
      of: ({ size }) => size,
    });
    this.#addLayerSizes("soci_fs_layer_fetched_size_bytes", {
      help: "Bytes of the layer that have been fetched.",
      of: ({ fetchedSize }) => fetchedSize,
    });
  }

  #addLayerSizes(
    name: string,
    { help, of }: { readonly help: string; readonly of: (layer: LayerSize) => number },
  ): void {
    const layers = (): Iterable<LayerSize> => this.#state?.().layers ?? [];
    new Counter({
      name,
      help,
      labelNames: ["digest", "mountpoint"],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const layer of layers()) {
          this.inc({ digest: layer.digest, mountpoint: layer.mountpoint }, of(layer));
        }
      },
    });
  }

  #addOwnMetrics(): void {
    this.#addTallies("sociable_fetched_bytes_total", {
      help: "Bytes of layers fetched from registries, by cause.",
      label: "cause",
      tallies: this.#fetched,
    });
    this.#addTallies("sociable_evictions_total", {
      help: "What was given up for room in the cache, by kind.",
      label: "kind",
      tallies: this.#evictions,
    });
    this.#addTallies("sociable_fallbacks_total", {
      help: "Layers left to containerd, by reason.",
      label: "reason",
      tallies: this.#fallbacks,
    });
    this.#addTally("sociable_cache_hits_total", {
      help: "Reads whose bytes were here.",
      tally: this.#cacheHits,
    });
    this.#addTally("sociable_cache_misses_total", {
      help: "Reads whose bytes had to be fetched.",
      tally: this.#cacheMisses,
    });
    this.#addGauge("sociable_cache_used_bytes", {
      help: "Bytes that layers take on disk.",
      of: ({ cacheUsedBytes }) => cacheUsedBytes,
    });
    this.#addGauge("sociable_cache_cap_bytes", {
      help: "Bytes that layers may take on disk.",
      of: ({ cacheCapBytes }) => cacheCapBytes,
    });
    this.#addGauge("sociable_mounted_images", {
      help: "Images that containers or pulls hold mounted.",
      of: ({ mountedImages }) => mountedImages,
    });
  }

  #addTallies<Label extends string>(
    name: string,
    {
      help,
      label,
      tallies,
    }: { readonly help: string; readonly label: string; readonly tallies: Tallies<Label> },
  ): void {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const { first, value } of tallies.all()) this.inc({ [label]: first }, value);
      },
    });
  }

  #addTally(name: string, { help, tally }: { readonly help: string; readonly tally: Tally }): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(tally.value);
      },
    });
  }

  #addGauge(
    name: string,
    { help, of }: { readonly help: string; readonly of: (state: DaemonState) => number },
  ): void {
    const state = (): DaemonState | undefined => this.#state?.();
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        const now = state();
        this.set(now === undefined ? 0 : of(now));
      },
    });
  }
}

function removeLayer(
  histogram: Histogram<"layer" | "operation_type">,
  operations: readonly string[],
  layer: string,
): void {
  for (const operation of operations) histogram.remove({ layer, operation_type: operation });
}
