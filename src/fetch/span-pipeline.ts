import type { Logger } from "../observability/log.ts";
import type { Reserve } from "./cache-room.ts";
import type { CompressedSpan } from "./compressed-body.ts";
import {
  failureOf,
  finalError,
  isNoRoom,
  noRoom,
  noteFailure,
  noteWrong,
  retryAfterOf,
} from "./fetch-failure.ts";
import { BACKGROUND, DEMAND, priorityOf, READAHEAD, UNWANTED } from "./fetch-priority.ts";
import { gatherRun } from "./gather-run.ts";
import type { MemorySpans } from "./memory-spans.ts";
import { RangeFetch } from "./range-fetch.ts";
import { BROKEN_OFF, RunningFetches } from "./running-fetches.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import type { SchedulerCounts } from "./scheduler-stats.ts";
import { SharedChunks } from "./shared-chunks.ts";
import { SourceHealth } from "./source-health.ts";
import { SpanClaims } from "./span-claims.ts";
import type { FillOutcome, SpanFiller } from "./span-filler.ts";
import { SpanFilling } from "./span-filling.ts";
import { SpanTask } from "./span-task.ts";
import { TaskQueues } from "./task-queues.ts";

export interface SpanPipelineOptions {
  readonly filler: SpanFiller;
  readonly reserve: Reserve;
  readonly memory: MemorySpans;
  readonly log: Logger;
  readonly counts: SchedulerCounts;
  /** Compressed bytes from request to end of the fill, at most; demand may have more. */
  readonly maxBytes: number;
  readonly maxDemandBytes: number;
  /** When nothing else is to do: brings further tasks of a background fill; false when there are none. */
  readonly askMore: () => boolean;
  /** The source gives whole blobs only: all of the layer comes by the next request. */
  readonly onNoRanges: (layer: ScheduledLayer) => void;
  /** A task is over: its span is readable, or `error` says why not. */
  readonly onEnd: (task: SpanTask, error?: unknown) => void;
}

/** One request, at most. */
const MAX_RANGE = 8 << 20;
/** Less urgent neighbours of a demanded span that come with it. */
const MAX_EXTRA = 2 << 20;
/** Requests for demand at once. */
const MAX_DEMAND_FETCHES = 32;
/** What may lie with the inflate threads, beside what the line holds, before nothing is read ahead. */
const FILLING_BYTES = 6 << 20;

/** Spans from wanting them to having them: queue, requests, inflate threads. */
export class SpanPipeline {
  readonly chunks = new SharedChunks();
  readonly #options: SpanPipelineOptions;
  readonly #counts: SchedulerCounts;
  readonly #log: Logger;
  readonly #queues = new TaskQueues();
  readonly #claims: SpanClaims;
  readonly #fetches: RunningFetches;
  readonly #filling: SpanFilling;
  readonly #running = new Map<Promise<void>, ScheduledLayer>();
  /** Compressed bytes of spans from request to end of the fill. */
  #inFlight = 0;
  #isPumpDue = false;
  #timer: NodeJS.Timeout | undefined;
  #isFullTold = false;
  #isClosed = false;

  constructor(options: SpanPipelineOptions) {
    const { counts, log, filler } = options;
    this.#options = options;
    this.#counts = counts;
    this.#log = log;
    this.#claims = new SpanClaims({
      onPresent: (task) => this.#end(task),
      onFree: (task) => this.#queueAgain(task),
    });
    this.#fetches = new RunningFetches({
      counts,
      log,
      onCut: (tasks) => {
        for (const task of tasks) this.#requeue(task);
      },
      hasMemory: () => this.#inFlight <= options.maxBytes,
    });
    this.#filling = new SpanFilling({
      filler,
      chunks: this.chunks,
      onEnd: (task, outcome) => this.#filled(task, outcome),
    });
  }

  /** The task of a span; a new one is not wanted yet. */
  taskOf(layer: ScheduledLayer, span: number): SpanTask {
    let task = layer.tasks.get(span);
    if (task === undefined) {
      task = new SpanTask(layer, span);
      layer.tasks.set(span, task);
    }
    return task;
  }

  /** Somebody has come to want a task, or has left. */
  reweigh(task: SpanTask): void {
    const hasChanged = task.reweigh();
    this.#filling.want(task);
    switch (task.state) {
      case "queued":
        if (task.urgency >= UNWANTED) this.#drop(task);
        else this.#queues.put(task);
        // Who waits does not wait for what was tried before.
        if (hasChanged && task.urgency === DEMAND) task.notBefore = 0;
        this.pumpSoon();
        break;
      case "elsewhere":
        if (task.urgency >= UNWANTED) this.#drop(task);
        break;
      case "fetching":
        if (hasChanged && task.fetch !== undefined) this.#fetches.reweigh(task, task.fetch);
        break;
      case "filling":
    }
  }

  /** To be called now and then while there are demands. */
  watch(now: number): void {
    this.#fetches.watch(now);
  }

  /** Nothing more is wanted of the layer; resolves when nothing of it is under way. */
  async leave(layer: ScheduledLayer): Promise<void> {
    for (const task of [...layer.tasks.values()]) {
      task.standing = UNWANTED;
      this.reweigh(task);
    }
    this.#fetches.abortAll(layer);
    for (const [running, of] of this.#running) if (of === layer) await running;
    await layer.idle();
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
    return budget.hasRoom(now) ? undefined : "line";
  }

  #start(seed: SpanTask, now: number): void {
    const { layer } = seed;
    const tasks = this.#claims.claimRun(this.#gather(seed, now), seed);
    if (seed.state !== "queued") this.#queues.delete(seed);
    if (tasks.length === 0) return;
    const fetch = new RangeFetch({
      layer,
      tasks,
      isFresh: seed.isFresh,
      chunks: this.chunks,
      events: {
        onOpen: (opened, { isPartial, ms }) => this.#opened(opened, isPartial, ms),
        onBytes: (from, bytes) => this.#received(from, bytes),
        onPart: (task, compressed) => this.#filling.part(task, compressed),
        onSpan: (from, task, compressed) => this.#fill(from, task, compressed),
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

  #gather(seed: SpanTask, now: number): SpanTask[] {
    const { layer } = seed;
    if (layer.hasNoRanges && !seed.isFresh) {
      const tasks = [...layer.tasks.values()].filter(
        ({ state, isFresh }) => state === "queued" && !isFresh,
      );
      return tasks.toSorted((a, b) => a.span - b.span);
    }
    const { budget } = layer.health;
    const isDemand = seed.urgency === DEMAND;
    // One request for all that there is room for: several at once would share the line, and each be late.
    const room = Math.min(budget.limit(now) - budget.outstanding, MAX_RANGE);
    return gatherRun(seed, {
      maxBytes: isDemand ? MAX_RANGE : room,
      maxExtraBytes: isDemand ? MAX_EXTRA : room,
      now,
    });
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
      await this.#filling.stop(next);
      this.#putBack(fetch, error);
    }
    this.pumpSoon();
  }

  /** Demand does not wait for it: by the time that its bytes come, it is known. */
  async #makeRoom(fetch: RangeFetch): Promise<void> {
    if (fetch.urgency === DEMAND) {
      fetch.room = this.#reserve(fetch).then(
        () => undefined,
        (error: unknown) => this.#log.warn("no room could be made in the cache", { error }),
      );
      return;
    }
    const without = await this.#reserve(fetch);
    if (without === undefined) return;
    if (without === fetch.left[0]) throw noRoom();
    const cut = fetch.cutBefore(without);
    fetch.rebudget();
    for (const task of cut) this.#refuse(task);
  }

  /** There is no room for what nobody waits for; if somebody does by now, room is made again. */
  #refuse(task: SpanTask): void {
    this.#leaveFetch(task);
    if (task.urgency === DEMAND) this.#queueAgain(task);
    else this.#end(task, noRoom());
  }

  /** Room for each span of a request; the first that has none, of what nobody waits for. */
  async #reserve(fetch: RangeFetch): Promise<SpanTask | undefined> {
    const { urgency } = fetch;
    try {
      for (const task of [...fetch.left]) {
        const bytes = fetch.layer.geometry.uncompressedLength(task.span);
        const room = await this.#options.reserve(bytes, priorityOf(urgency));
        // A request may have let go of a task meanwhile.
        const isOurs = task.fetch === fetch || task.state === "filling";
        if (isOurs && task.room === undefined) task.room = room;
        else room?.[Symbol.dispose]();
        if (isOurs && room === undefined && urgency > DEMAND) return task;
      }
      return undefined;
    } finally {
      fetch.isRoomKnown = true;
    }
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
        this.#fail(task, error);
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
    this.#queueAgain(task);
  }

  #queueAgain(task: SpanTask): void {
    task.state = "queued";
    this.reweigh(task);
  }

  #leaveFetch(task: SpanTask): void {
    this.#uncount(task);
    task.fetch = undefined;
    task.giveUpClaim();
  }

  #fail(task: SpanTask, cause: unknown): void {
    const { layer, span } = task;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const source = layer.health.source.name;
    this.#log.error("span cannot be had", { layer: layer.descriptor.digest, span, source, reason });
    this.#end(task, finalError(task, cause));
  }

  // ---- filling

  #fill(fetch: RangeFetch, task: SpanTask, compressed: CompressedSpan): void {
    task.state = "filling";
    task.fetch = undefined;
    this.#count(task);
    this.#fetches.handedOver(fetch);
    const fill = (): void => {
      this.#filling.whole(task, compressed, task.room === undefined || task.isForMemory);
    };
    if (fetch.isRoomKnown) fill();
    else void fetch.room.then(fill);
  }

  #filled(task: SpanTask, outcome: FillOutcome): void {
    const { layer, span } = task;
    this.#uncount(task);
    this.#fetches.resume();
    this.pumpSoon();
    switch (outcome.kind) {
      case "filled":
        this.#noteFetched(task);
        task.markPresent();
        this.#options.memory.delete(layer.id, span);
        this.#end(task);
        return;
      case "kept":
        task.giveUpClaim();
        this.#keep(task, outcome.bytes);
        return;
      case "wrong":
        task.giveUpClaim();
        this.#wrong(task, outcome.error);
        return;
      case "failed":
        task.giveUpClaim();
        this.#fail(task, outcome.error);
        return;
      case "aborted":
        throw new Error("a fill was aborted after its last byte");
    }
  }

  #noteFetched({ layer, span }: SpanTask): void {
    this.#counts.spans += 1;
    if (layer.noteFetched(span)) this.#counts.evictedSpans += 1;
  }

  #keep(task: SpanTask, bytes: Uint8Array): void {
    const { layer, span } = task;
    if (!this.#isFullTold && !task.isForMemory) {
      this.#isFullTold = true;
      const { digest } = layer.descriptor;
      this.#log.warn("no room in the cache: reading goes on from memory", { layer: digest });
    }
    // Memory is for those who wait.
    if (task.waits.size === 0) {
      this.#end(task, noRoom());
      return;
    }
    this.#noteFetched(task);
    this.#counts.memorySpans += 1;
    this.#options.memory.put(layer.id, span, bytes);
    this.#end(task);
  }

  #wrong(task: SpanTask, error: Error): void {
    const { layer, span } = task;
    this.#counts.wrongSpans += 1;
    if (noteWrong(task, error)) {
      this.#fail(task, error);
      return;
    }
    const { digest } = layer.descriptor;
    const source = layer.health.source.name;
    this.#log.warn("span refetched", { layer: digest, span, source, reason: error.message });
    this.#queueAgain(task);
  }

  #end(task: SpanTask, error?: unknown): void {
    this.#forget(task);
    this.#options.onEnd(task, error);
  }

  #drop(task: SpanTask): void {
    task.giveUpClaim();
    this.#forget(task);
  }

  #forget(task: SpanTask): void {
    this.#claims.forget(task);
    this.#queues.delete(task);
    task.dropPartial();
    task.layer.forget(task.span);
  }
}
