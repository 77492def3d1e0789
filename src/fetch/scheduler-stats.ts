import { FETCH_PRIORITIES, type FetchPriority } from "./fetch-priority.ts";

/** What a scheduler has done so far. */
export interface SchedulerStats {
  /** Requests for ranges. */
  readonly requests: number;
  /** Compressed bytes received, by why they were asked for. */
  readonly bytes: Readonly<Record<FetchPriority, number>>;
  /** Spans made present, or kept in memory. */
  readonly spans: number;
  /** Bodies that were not the span's. */
  readonly wrongSpans: number;
  /** Spans that had been here before, and were gone when they were wanted again. */
  readonly evictedSpans: number;
  /** Spans that the disk had no room for. */
  readonly memorySpans: number;
  /** Requests that were broken off because their server was silent. */
  readonly stalls: number;
  /** Demands that did not wait for a request under way. */
  readonly overtakes: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export type SchedulerCounts = Omit<Mutable<SchedulerStats>, "bytes"> & {
  readonly bytes: Record<FetchPriority, number>;
};

export function noCounts(): SchedulerCounts {
  return {
    requests: 0,
    bytes: { demand: 0, prefetch: 0, readahead: 0, background: 0 },
    spans: 0,
    wrongSpans: 0,
    evictedSpans: 0,
    memorySpans: 0,
    stalls: 0,
    overtakes: 0,
  };
}

export function copyCounts(counts: SchedulerCounts): SchedulerStats {
  return { ...counts, bytes: { ...counts.bytes } };
}

export function totalBytes({ bytes }: SchedulerStats): number {
  return FETCH_PRIORITIES.reduce((sum, priority) => sum + bytes[priority], 0);
}
