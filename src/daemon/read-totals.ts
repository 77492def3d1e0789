import type { SpanScheduler } from "../fetch/span-scheduler.ts";
import { FETCH_PRIORITIES } from "../fetch/fetch-priority.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { ReadCounts } from "../threads/fuse-workers.ts";

/** A mount that counts what is read. */
export interface CountingMount {
  readonly reads: ReadCounts;
  readonly unmounted: Promise<void>;
}

/** Carries what threads and scheduler count by themselves over to the metrics, when those are asked for. */
export class ReadTotals {
  readonly #metrics: Metrics;
  readonly #mounts = new Map<CountingMount, ReadCounts>();
  readonly #fetched = new Map<string, number>();
  #spans = 0;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** Counts a mount in until it ends. */
  watch(mount: CountingMount): void {
    this.#mounts.set(mount, { count: 0, bytes: 0 });
    const end = (): void => {
      this.#carryReads(mount);
      this.#mounts.delete(mount);
    };
    mount.unmounted.then(end, end);
  }

  /** A read that had to wait has its answer. */
  answered(ms: number, bytes: number, failed: boolean): void {
    const metrics = this.#metrics;
    metrics.cacheMiss();
    metrics.counter("synchronous_read_count").add(1);
    if (failed) {
      metrics.fuseFailed("fuse_file_read_failure_count");
      return;
    }
    metrics.counter("synchronous_read_remote_registry_fetch_count").add(1);
    metrics.coldRead(ms / 1000);
    metrics.tookMicroseconds("synchronous_read", ms * 1000);
    metrics.served(bytes);
  }

  carry(scheduler: SpanScheduler): void {
    for (const mount of this.#mounts.keys()) this.#carryReads(mount);
    const { bytes, spans } = scheduler.stats;
    for (const cause of FETCH_PRIORITIES) {
      const before = this.#fetched.get(cause) ?? 0;
      this.#metrics.fetched(cause, bytes[cause] - before);
      this.#fetched.set(cause, bytes[cause]);
    }
    this.#metrics.counter("background_span_fetch_count").add(spans - this.#spans);
    this.#spans = spans;
  }

  #carryReads(mount: CountingMount): void {
    const before = this.#mounts.get(mount);
    if (before === undefined) return;
    const now = mount.reads;
    this.#mounts.set(mount, now);
    const count = now.count - before.count;
    this.#metrics.cacheHit(count);
    this.#metrics.counter("synchronous_read_count").add(count);
    this.#metrics.served(now.bytes - before.bytes);
  }
}
