import type { Logger } from "../observability/log.ts";
import { type Reserve, reserveRoom } from "./cache-room.ts";
import type { CompressedSpan } from "./compressed-body.ts";
import { failureOf, isNoRoom, noRoom, noteFailure, retryAfterOf } from "./fetch-failure.ts";
import { BACKGROUND, DEMAND, priorityOf, READAHEAD, UNWANTED } from "./fetch-priority.ts";
import { gatherRequest } from "./gather-run.ts";
import { RangeFetch } from "./range-fetch.ts";
import { BROKEN_OFF, RunningFetches } from "./running-fetches.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import type { SchedulerCounts } from "./scheduler-stats.ts";
import type { SharedChunks } from "./shared-chunks.ts";
import { SourceHealth } from "./source-health.ts";
import { SpanClaims } from "./span-claims.ts";
import type { SpanFilling } from "./span-filling.ts";
import type { SpanTask } from "./span-task.ts";
import { TaskQueues } from "./task-queues.ts";

export interface SpanRequestsLimits {
  /** Compressed bytes from request to end of the fill, at most; demand may have more. */
  readonly maxBytes: number;
  readonly maxDemandBytes: number;
}

export interface SpanRequestsOptions extends SpanRequestsLimits {
  readonly chunks: SharedChunks;
  readonly filling: SpanFilling;
  readonly reserve: Reserve;
  readonly log: Logger;
  readonly counts: SchedulerCounts;
  /** When nothing else is to do: brings further tasks of a background fill; false when there are none. */
  readonly askMore: () => boolean;
  /** The source gives whole blobs only: all of the layer comes by the next request. */
  readonly onNoRanges: (layer: ScheduledLayer) => void;
  /** All bytes of a task's span have come, and the cache was asked for room. */
  readonly onSpan: (task: SpanTask, compressed: CompressedSpan) => void;
  /** Another process has filled a task's span. */
  readonly onPresent: (task: SpanTask) => void;
  /** A task is given up. */
  readonly onLost: (task: SpanTask, error: unknown) => void;
  /** Nobody wants a task any more that is not under way. */
  readonly onUnwanted: (task: SpanTask) => void;
}

/** Requests for demand at once. */
const MAX_DEMAND_FETCHES = 32;
/** What may lie with the inflate threads, beside what the line holds, before nothing is read ahead. */
const FILLING_BYTES = 6 << 20;

/** Requests for spans: which, when, together with which others, and again when they fail. */
export class SpanRequests {
  readonly #options: SpanRequestsOptions;
  readonly #counts: SchedulerCounts;
  readonly #log: Logger;
  readonly #queues = new TaskQueues();
  readonly #claims: SpanClaims;
  readonly #fetches: RunningFetches;
  readonly #running = new Map<Promise<void>, ScheduledLayer>();
  /** Compressed bytes of spans from request to end of the fill. */
  #inFlight = 0;
  #isPumpDue = false;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: SpanRequestsOptions) {
    const { counts, log } = options;
    this.#options = options;
    this.#counts = counts;
    this.#log = log;
    this.#claims = new SpanClaims({
      onPresent: options.onPresent,
      onFree: (task) => this.queue(task),
      onLost: options.onLost,
    });
    this.#fetches = new RunningFetches({
      counts,
      log,
      onCut: (tasks) => {
        for (const task of tasks) this.#requeue(task);
      },
      hasMemory: () => this.#inFlight <= options.maxBytes,
    });
  }

  /** Requests a task's span, when its turn comes. */
  queue(task: SpanTask): void {
    task.state = "queued";
    task.reweigh();
    this.reweighed(task, false);
  }

  /** A task that is not being filled is wanted otherwise than before. */
  reweighed(task: SpanTask, hasChanged: boolean): void {
    switch (task.state) {
      case "queued":
        if (task.urgency >= UNWANTED) {
          this.#options.onUnwanted(task);
          break;
        }
        this.#queues.put(task);
        // Who waits does not wait for what was tried before.
        if (hasChanged && task.urgency === DEMAND) task.notBefore = 0;
        this.pumpSoon();
        break;
      case "elsewhere":
        if (task.urgency >= UNWANTED) this.#options.onUnwanted(task);
        break;
      case "fetching":
        if (hasChanged && task.fetch !== undefined) this.#fetches.reweigh(task, task.fetch);
        break;
      case "filling":
    }
  }

  /** A task's span has been filled, or has not: its memory is free. */
  filled(task: SpanTask): void {
    this.#uncount(task);
    this.#fetches.resume();
    this.pumpSoon();
  }

  /** A task is over. */
  forget(task: SpanTask): void {
    this.#claims.forget(task);
    this.#queues.delete(task);
    task.dropPartial();
  }

  /** To be called now and then while there are demands. */
  watch(now: number): void {
    this.#fetches.watch(now);
  }

  /** Breaks off what is under way of a layer; resolves when nothing is. */
  async leave(layer: ScheduledLayer): Promise<void> {
    this.#fetches.abortAll(layer);
    for (const [running, of] of this.#running) if (of === layer) await running;
  }

  close(): void {
    this.#isClosed = true;
    this.#fetches.close();
    this.#claims[Symbol.dispose]();
    clearTimeout(this.#timer);
  }

  /** There may be something to request: all that is asked for in this turn is seen together. */
  pumpSoon(): void {
    if (this.#isPumpDue || this.#isClosed) return;
    this.#isPumpDue = true;
    queueMicrotask(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  // ---- from queue to request

  #pump(): void {
    if (this.#isClosed) return;
    const now = performance.now();
    let wakeAt = Number.POSITIVE_INFINITY;
    for (let urgency = DEMAND; urgency < UNWANTED; urgency++) {
      if (urgency === BACKGROUND && this.#queues.sizeOf(BACKGROUND) === 0) {
        if (this.#options.askMore()) this.pumpSoon();
        break;
      }
      for (const task of this.#queues.of(urgency)) {
        const readyAt = Math.max(task.notBefore, task.layer.health.readyAt);
        if (readyAt > now) {
          wakeAt = Math.min(wakeAt, readyAt);
          continue;
        }
        const obstacle = this.#obstacleTo(task, now);
        if (obstacle === undefined) this.#start(task, now);
        // What is in the way of a demand is in the way of all.
        else if (obstacle === "memory" && urgency === DEMAND) return;
        else if (obstacle === "memory") break;
      }
    }
    clearTimeout(this.#timer);
    if (wakeAt === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#pump(), Math.max(1, wakeAt - now));
  }

  /** Why a task cannot be requested now: for want of memory, or because of others of its source. */
  #obstacleTo(
    { layer, isFresh, urgency, compressedLength }: SpanTask,
    now: number,
  ): "memory" | "line" | undefined {
    const { maxBytes, maxDemandBytes } = this.#options;
    if (layer.hasNoRanges && !isFresh && this.#fetches.hasOf(layer)) return "line";
    // A span that is larger than all memory for spans comes alone.
    if (this.#inFlight === 0) return undefined;
    const bytes = this.#inFlight + compressedLength;
    if (urgency === DEMAND) {
      const isFull = bytes > maxDemandBytes || this.#fetches.demands >= MAX_DEMAND_FETCHES;
      return isFull ? "memory" : undefined;
    }
    const { budget } = layer.health;
    if (bytes > Math.min(maxBytes, budget.limit(now) + FILLING_BYTES)) return "memory";
    return budget.hasRoom(now, urgency === BACKGROUND) ? undefined : "line";
  }

  #start(seed: SpanTask, now: number): void {
    const { layer } = seed;
    const tasks = this.#claims.claimRun(gatherRequest(seed, now), seed);
    if (seed.state !== "queued") this.#queues.delete(seed);
    if (tasks.length === 0) return;
    const fetch = new RangeFetch({
      layer,
      tasks,
      isFresh: seed.isFresh,
      chunks: this.#options.chunks,
      events: {
        onOpen: (opened, { isPartial, ms }) => this.#opened(opened, isPartial, ms),
        onBytes: (from, bytes) => this.#received(from, bytes),
        onPart: (task, compressed) => this.#options.filling.part(task, compressed),
        onSpan: (from, task, compressed) => this.#handOver(from, task, compressed),
      },
    });
    for (const task of tasks) {
      this.#queues.delete(task);
      task.state = "fetching";
      task.fetch = fetch;
      task.cause = task.urgency;
      // A whole blob is read no faster than its spans are filled instead.
      if (!layer.hasNoRanges) this.#count(task);
    }
    if (seed.urgency === DEMAND) layer.health.budget.demanded(now);
    this.#fetches.add(fetch);
    const running = this.#run(fetch).finally(() => this.#running.delete(running));
    this.#running.set(running, layer);
  }

  #count(task: SpanTask): void {
    if (task.isCounted) return;
    task.isCounted = true;
    this.#inFlight += task.compressedLength;
  }

  #uncount(task: SpanTask): void {
    if (!task.isCounted) return;
    task.isCounted = false;
    this.#inFlight -= task.compressedLength;
  }

  // ---- a request under way

  async #run(fetch: RangeFetch): Promise<void> {
    const { health } = fetch.layer;
    fetch.rebudget();
    health.running += 1;
    let error: unknown;
    try {
      await this.#makeRoom(fetch);
      this.#counts.requests += 1;
      await fetch.run();
    } catch (thrown) {
      error = thrown;
    }
    health.running -= 1;
    if (fetch.hasBegun) health.budget.ended();
    fetch.rebudget(0);
    this.#fetches.delete(fetch);
    const [next] = fetch.left;
    if (next !== undefined) {
      await this.#options.filling.stop(next);
      this.#putBack(fetch, error);
    }
    this.pumpSoon();
  }

  /** Demand does not wait for it: by the time that its bytes come, it is known. */
  async #makeRoom(fetch: RangeFetch): Promise<void> {
    if (fetch.urgency === DEMAND) {
      fetch.room = reserveRoom(fetch, this.#options.reserve).then(
        () => undefined,
        (error: unknown) => this.#log.warn("no room could be made in the cache", { error }),
      );
      return;
    }
    const without = await reserveRoom(fetch, this.#options.reserve);
    if (without === undefined) return;
    if (without === fetch.left[0]) throw noRoom();
    const cut = fetch.cutBefore(without);
    fetch.rebudget();
    for (const task of cut) this.#refuse(task);
  }

  /** There is no room for what nobody waits for; if somebody does by now, room is made again. */
  #refuse(task: SpanTask): void {
    this.#leaveFetch(task);
    if (task.urgency === DEMAND) this.queue(task);
    else this.#options.onLost(task, noRoom());
  }

  #opened(fetch: RangeFetch, isPartial: boolean, ms: number): void {
    const { layer } = fetch;
    layer.health.budget.answered(ms, performance.now());
    if (!isPartial && !layer.hasNoRanges && layer.geometry.spanCount > 1) {
      layer.hasNoRanges = true;
      const { name } = layer.health.source;
      this.#log.info("source gives no ranges", { layer: layer.descriptor.digest, source: name });
      this.#options.onNoRanges(layer);
    }
    this.#fetches.favour(fetch);
  }

  #received(fetch: RangeFetch, bytes: number): void {
    const { layer } = fetch;
    const { health } = layer;
    const now = performance.now();
    if (!fetch.hasBegun) health.budget.began(now);
    fetch.hasBegun = true;
    health.budget.received(bytes, now);
    fetch.budgeted -= bytes;
    this.#counts.bytes[priorityOf(fetch.left[0]?.cause ?? BACKGROUND)] += bytes;
    const failures = health.answered();
    if (failures > 0) this.#answersAgain(health, failures);
    if (layer.hasNoRanges && this.#inFlight > this.#options.maxBytes) fetch.pause();
    this.#fetches.balance(now);
    if (health.budget.hasRoomAgain(now)) this.pumpSoon();
  }

  #answersAgain(health: SourceHealth, failures: number): void {
    if (SourceHealth.wereTold(failures)) {
      this.#log.info("source answers again", { source: health.source.name });
    }
    for (let urgency = DEMAND; urgency < UNWANTED; urgency++) {
      for (const task of this.#queues.of(urgency)) {
        if (task.layer.health === health) task.notBefore = 0;
      }
    }
    this.pumpSoon();
  }

  #handOver(fetch: RangeFetch, task: SpanTask, compressed: CompressedSpan): void {
    task.state = "filling";
    task.fetch = undefined;
    this.#count(task);
    this.#fetches.handedOver(fetch);
    const fill = (): void => this.#options.onSpan(task, compressed);
    if (fetch.isRoomKnown) fill();
    else void fetch.room.then(fill);
  }

  // ---- when a request has not brought all

  #putBack(fetch: RangeFetch, error: unknown): void {
    const left = [...fetch.left];
    if (error === undefined || error === BROKEN_OFF) {
      for (const task of left) this.#requeue(task);
      return;
    }
    if (isNoRoom(error)) {
      for (const task of left) this.#refuse(task);
      return;
    }
    const { health } = fetch.layer;
    const now = performance.now();
    const isDown = failureOf(error) === "source";
    const fields = { source: health.source.name, error };
    if (isDown && health.failed(now, retryAfterOf(error))) {
      this.#log.warn("source does not answer, asking again", fields);
    } else {
      this.#log.debug("request failed", fields);
    }
    const lost = new Set(noteFailure(left, error, now));
    for (const task of left) {
      if (lost.has(task)) {
        this.#leaveFetch(task);
        this.#options.onLost(task, error);
        continue;
      }
      // A reader may come this way or not: it is not worth knocking at a closed door.
      if (isDown && task.urgency === READAHEAD) {
        task.standing = task.layer.isFilling ? BACKGROUND : UNWANTED;
      }
      this.#requeue(task);
    }
  }

  #requeue(task: SpanTask): void {
    this.#leaveFetch(task);
    this.queue(task);
  }

  #leaveFetch(task: SpanTask): void {
    this.#uncount(task);
    task.fetch = undefined;
    task.giveUpClaim();
  }
}
