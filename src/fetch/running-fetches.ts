import type { Logger } from "../observability/log.ts";
import { DEMAND, UNWANTED } from "./fetch-priority.ts";
import type { RangeFetch } from "./range-fetch.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import type { SchedulerCounts } from "./scheduler-stats.ts";
import type { SpanTask } from "./span-task.ts";

/** What is left of an abandoned request is read to its end when it is so little. */
const WORTH_BREAKING = 256 * 1024;
/** Longest silence of a server before a demand is asked for again, the first time. */
const STALL_MS = 3000;
const STALL_DOUBLINGS = 3;
const STALL_LATENCIES = 10;
/** A demand waits for a request under way when one of its own would not be so much faster. */
const JOIN_FACTOR = 1.25;
const JOIN_MS = 10;
/** Others give way to a demand for twice the time that it should take, within these bounds. */
const MIN_PAUSE_MS = 20;
const MAX_PAUSE_MS = 500;
/** A demand that comes so much slower than the others is helped, when it has been watched so long. */
const STARVED_PART = 0.5;
const STARVED_MS = 20;

/** Why a request was broken off that is of no use any more. */
export const BROKEN_OFF = new DOMException("the request is of no use any more", "AbortError");

export interface RunningFetchesOptions {
  readonly counts: SchedulerCounts;
  readonly log: Logger;
  /** Tasks that a request will not bring after all. */
  readonly onCut: (tasks: readonly SpanTask[]) => void;
  /** Whether a request that was held back for want of memory may go on. */
  readonly hasMemory: () => boolean;
}

/** The requests under way, and how they give way to one another. */
export class RunningFetches {
  readonly #options: RunningFetchesOptions;
  readonly #fetches = new Set<RangeFetch>();
  #pauseTimer: NodeJS.Timeout | undefined;

  constructor(options: RunningFetchesOptions) {
    this.#options = options;
  }

  get demands(): number {
    let count = 0;
    for (const { urgency } of this.#fetches) if (urgency === DEMAND) count += 1;
    return count;
  }

  hasOf(layer: ScheduledLayer): boolean {
    for (const fetch of this.#fetches) if (fetch.layer === layer) return true;
    return false;
  }

  add(fetch: RangeFetch): void {
    this.#fetches.add(fetch);
  }

  delete(fetch: RangeFetch): void {
    this.#fetches.delete(fetch);
    this.resume();
  }

  /** A request's answer has begun, or one under way has become a demand. */
  favour(fetch: RangeFetch): void {
    if (fetch.urgency !== DEMAND || fetch.openedAt === undefined) return;
    const { rate } = fetch.layer.health.budget;
    const lastDemand = fetch.left.findLast(({ urgency }) => urgency === DEMAND);
    if (rate === 0 || lastDemand === undefined) return;
    const ms = (2 * (lastDemand.compressedEnd - fetch.position)) / rate;
    this.#pauseOthers(fetch, Math.min(Math.max(ms, MIN_PAUSE_MS), MAX_PAUSE_MS));
  }

  /** To be called when bytes have come: helps demands that get too little of the line. */
  balance(now: number): void {
    if (this.#pauseTimer !== undefined) return;
    let [sum, count] = [0, 0];
    let slowest: { readonly fetch: RangeFetch; readonly rate: number } | undefined;
    for (const fetch of this.#fetches) {
      const { openedAt, urgency } = fetch;
      if (urgency === DEMAND) this.#lookAgain(fetch);
      if (openedAt === undefined || now - openedAt < STARVED_MS) continue;
      const rate = (fetch.position - fetch.start) / (now - openedAt);
      sum += rate;
      count += 1;
      if (urgency === DEMAND && rate < (slowest?.rate ?? Number.POSITIVE_INFINITY)) {
        slowest = { fetch, rate };
      }
    }
    if (slowest === undefined || slowest.rate > (sum / count) * STARVED_PART) return;
    this.favour(slowest.fetch);
  }

  /** Lets those go on that had given way, unless a demand still comes in. */
  resume(): void {
    for (const fetch of this.#fetches) {
      if (fetch.urgency === DEMAND && fetch.openedAt !== undefined && this.#isPausing()) return;
    }
    this.#endPause();
  }

  /** A task of a request has all its bytes. */
  handedOver(fetch: RangeFetch): void {
    const wasDemand = fetch.urgency === DEMAND;
    fetch.reweigh();
    if (wasDemand && fetch.urgency > DEMAND) this.resume();
  }

  /** A task of a request has become more urgent, or less. */
  reweigh(task: SpanTask, fetch: RangeFetch): void {
    const wasDemand = fetch.urgency === DEMAND;
    if (task.urgency === DEMAND && !wasDemand) this.#overtakeIfSlow(fetch, task);
    fetch.reweigh();
    if (wasDemand && fetch.urgency > DEMAND) this.resume();
    if (task.urgency >= UNWANTED) this.#trim(fetch);
  }

  /** To be called now and then while there are demands: asks again where a server is silent. */
  watch(now: number): void {
    for (const fetch of this.#fetches) {
      if (fetch.isPaused || fetch.urgency > DEMAND) continue;
      if (now - fetch.heardAt <= patienceWith(fetch)) continue;
      this.#options.counts.stalls += 1;
      for (const task of fetch.left) task.stalls += 1;
      const { digest } = fetch.layer.descriptor;
      const silentMs = Math.round(now - fetch.heardAt);
      this.#options.log.debug("server is silent, asking again", { layer: digest, silentMs });
      fetch.abort(BROKEN_OFF);
    }
  }

  abortAll(layer: ScheduledLayer): void {
    for (const fetch of this.#fetches) if (fetch.layer === layer) fetch.abort(BROKEN_OFF);
  }

  close(): void {
    clearTimeout(this.#pauseTimer);
  }

  #isPausing(): boolean {
    return this.#pauseTimer !== undefined;
  }

  #pauseOthers(favoured: RangeFetch, ms: number): void {
    for (const fetch of this.#fetches) {
      if (fetch.urgency > DEMAND && fetch.layer.health === favoured.layer.health) fetch.pause();
    }
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = setTimeout(() => this.#endPause(), ms);
  }

  #endPause(): void {
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = undefined;
    for (const fetch of this.#fetches) {
      if (!fetch.layer.hasNoRanges || this.#options.hasMemory()) fetch.resume();
    }
  }

  /** A demand waits for a request that brings other things first: slower than it had seemed? */
  #lookAgain(fetch: RangeFetch): void {
    const first = fetch.left.find(({ urgency }) => urgency === DEMAND);
    if (first !== undefined && first !== fetch.left[0]) this.#overtakeIfSlow(fetch, first);
  }

  #overtakeIfSlow(fetch: RangeFetch, task: SpanTask): void {
    if (!this.#shouldOvertake(fetch, task)) return;
    this.#options.counts.overtakes += 1;
    this.#cut(fetch, task);
  }

  /** Whether a request of its own would bring the span much sooner than the one under way. */
  #shouldOvertake(fetch: RangeFetch, task: SpanTask): boolean {
    const { budget } = fetch.layer.health;
    if (budget.rate === 0 || fetch.left[0] === task || fetch.layer.hasNoRanges) return false;
    const now = performance.now();
    const toCome = task.compressedEnd - fetch.position;
    const joinMs =
      fetch.openedAt === undefined
        ? Math.max(0, budget.latencyMs - (now - fetch.startedAt)) + toCome / budget.rate
        : toCome / Math.min(budget.rate, fetch.rate(now) ?? budget.rate);
    const ownMs = budget.latencyMs + task.compressedLength / budget.rate;
    return joinMs > ownMs * JOIN_FACTOR + JOIN_MS;
  }

  /** Has a request end before this task's span. */
  #cut(fetch: RangeFetch, task: SpanTask): void {
    const cut = fetch.cutBefore(task);
    fetch.rebudget();
    this.#options.onCut(cut);
  }

  /** Has a request end where nobody wants the rest. */
  #trim(fetch: RangeFetch): void {
    if (fetch.bytesLeft < WORTH_BREAKING) return;
    const lastWanted = fetch.left.findLastIndex(({ urgency }) => urgency < UNWANTED);
    const firstUnwanted = fetch.left[lastWanted + 1];
    if (lastWanted < 0) fetch.abort(BROKEN_OFF);
    else if (firstUnwanted !== undefined) this.#cut(fetch, firstUnwanted);
  }
}

function patienceWith({ left, layer }: RangeFetch): number {
  const doublings = Math.min(left[0]?.stalls ?? 0, STALL_DOUBLINGS);
  return Math.max(STALL_MS * 2 ** doublings, layer.health.budget.latencyMs * STALL_LATENCIES);
}
