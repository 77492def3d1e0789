import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import { retryWaitMs } from "../oci/retry.ts";
import type { Reserve } from "./cache-room.ts";
import type { CompressedSpan } from "./compressed-body.ts";
import { failureOf, retryAfterOf } from "./fetch-failure.ts";
import { BACKGROUND, DEMAND, priorityOf, UNWANTED } from "./fetch-priority.ts";
import { gatherRun } from "./gather-run.ts";
import type { MemorySpans } from "./memory-spans.ts";
import { RangeFetch } from "./range-fetch.ts";
import { BROKEN_OFF, RunningFetches } from "./running-fetches.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import type { SchedulerCounts } from "./scheduler-stats.ts";
import { SharedChunks } from "./shared-chunks.ts";
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
  /** A span has become readable, or a fill has an end otherwise. */
  readonly onEnd: (task: SpanTask, error?: unknown) => void;
}

/** One request, at most. */
const MAX_RANGE = 8 << 20;
/** Less urgent neighbours of a demanded span that come with it. */
const MAX_EXTRA = 2 << 20;
/** Requests for demand at once. */
const MAX_DEMAND_FETCHES = 32;
/** Failed attempts after which a blob, or a span's bytes, are given up. */
const MAX_BLOB_ATTEMPTS = 4;
const MAX_WRONGS = 4;
const MAX_BACKGROUND_ATTEMPTS = 40;
const BACK_OFF = {
  maxRetries: Number.POSITIVE_INFINITY,
  baseMs: 100,
  maxMs: 3000,
  maxRetryAfterMs: Number.POSITIVE_INFINITY,
};
/** How often another process is looked after that fills a span that we want. */
const ELSEWHERE_MS = 10;

/** Spans from wanting them to having them: queue, requests, inflate threads. */
export class SpanPipeline {
  readonly chunks = new SharedChunks();
  readonly #options: SpanPipelineOptions;
  readonly #counts: SchedulerCounts;
  readonly #log: Logger;
  readonly #queues = new TaskQueues();
  readonly #fetches: RunningFetches;
  readonly #filling: SpanFilling;
  readonly #running = new Set<Promise<void>>();
  readonly #elsewhere = new Set<SpanTask>();
  /** Compressed bytes of spans from request to end of the fill. */
  #inFlight = 0;
  #isPumpDue = false;
  #timer: NodeJS.Timeout | undefined;
  #elsewhereTimer: NodeJS.Timeout | undefined;
  #isFullKnown = false;
  #isClosed = false;

  constructor(options: SpanPipelineOptions) {
    this.#options = options;
    this.#counts = options.counts;
    this.#log = options.log;
    this.#fetches = new RunningFetches({
      counts: options.counts,
      log: options.log,
      onCut: (tasks) => {
        for (const task of tasks) this.#requeue(task);
      },
      hasMemory: () => this.#inFlight <= options.maxBytes,
    });
    this.#filling = new SpanFilling({
      filler: options.filler,
      chunks: this.chunks,
      onEnd: (task, outcome) => this.#filled(task, outcome),
    });
  }

  get isIdle(): boolean {
    return this.#inFlight === 0;
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
    if (task.state === "queued") {
      if (task.urgency >= UNWANTED) this.#drop(task);
      else this.#queues.put(task);
      this.#schedulePump();
      return;
    }
    this.#filling.want(task);
    if (task.state === "elsewhere" && task.urgency >= UNWANTED) this.#drop(task);
    if (hasChanged && task.fetch !== undefined) this.#fetches.reweigh(task, task.fetch);
  }

  /** To be called now and then while there are demands. */
  watch(now: number): void {
    this.#fetches.watch(now);
  }

  /** Nothing more is wanted of the layer; resolves when nothing is under way. */
  async leave(layer: ScheduledLayer): Promise<void> {
    this.#fetches.abortAll(layer);
    for (const task of [...layer.tasks.values()]) {
      task.standing = UNWANTED;
      task.waits.clear();
      this.reweigh(task);
    }
    while (layer.tasks.size > 0) await Promise.race([...this.#running]);
  }

  close(): void {
    this.#isClosed = true;
    this.#fetches.close();
    clearTimeout(this.#timer);
    clearTimeout(this.#elsewhereTimer);
  }

  // ---- from queue to request

  pumpSoon(): void {
    this.#schedulePump();
  }

  #schedulePump(): void {
    if (this.#isPumpDue || this.#isClosed) return;
    this.#isPumpDue = true;
    queueMicrotask(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#isClosed) return;
    const now = performance.now();
    let wakeAt = Number.POSITIVE_INFINITY;
    for (let urgency = DEMAND; urgency < UNWANTED; urgency++) {
      for (const task of this.#queues.of(urgency)) {
        const at = readyAt(task);
        if (at > now) {
          wakeAt = Math.min(wakeAt, at);
          continue;
        }
        if (!this.#mayStart(task)) {
          if (urgency === DEMAND) break;
          continue;
        }
        this.#start(task, now);
      }
      const isLast = urgency === BACKGROUND;
      if (isLast && this.#queues.sizeOf(BACKGROUND) === 0 && this.#options.askMore()) {
        this.#schedulePump();
      }
    }
    this.#wake(wakeAt - now);
  }

  #wake(ms: number): void {
    clearTimeout(this.#timer);
    if (ms === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#pump(), Math.max(1, ms));
  }

  #mayStart(task: SpanTask): boolean {
    if (task.layer.hasNoRanges && !task.isFresh) {
      if (this.#fetches.hasOf(task.layer)) return false;
    }
    const bytes = task.compressedLength;
    const { maxBytes, maxDemandBytes } = this.#options;
    // A span that is larger than all memory for spans comes alone.
    if (this.#inFlight === 0) return true;
    if (task.urgency === DEMAND) {
      return this.#inFlight + bytes <= maxDemandBytes && this.#fetches.demands < MAX_DEMAND_FETCHES;
    }
    return this.#inFlight + bytes <= maxBytes && task.layer.health.budget.hasRoom();
  }

  #start(seed: SpanTask, now: number): void {
    const run = this.#gather(seed, now);
    const tasks = this.#claim(run, seed);
    if (tasks.length === 0) return;
    for (const task of tasks) this.#queues.delete(task);
    const fetch = new RangeFetch({
      layer: seed.layer,
      tasks,
      isFresh: seed.isFresh,
      chunks: this.chunks,
      events: {
        onOpen: (opened, { isPartial, ms }) => this.#opened(opened, isPartial, ms),
        onBytes: (from, bytes) => this.#received(from, bytes),
        onPart: (_from, task, compressed) => this.#filling.part(task, compressed),
        onSpan: (from, task, compressed) => this.#fill(from, task, compressed),
      },
    });
    for (const task of tasks) {
      task.state = "fetching";
      task.fetch = fetch;
      // A whole blob is read no faster than its spans are filled instead.
      if (!seed.layer.hasNoRanges) this.#count(task);
    }
    this.#fetches.add(fetch);
    const running = this.#run(fetch).finally(() => this.#running.delete(running));
    this.#running.add(running);
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
    const room = Math.min(budget.limit - budget.outstanding, MAX_RANGE);
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

  /** Those of a run, with `seed` among them, that are ours to fill. */
  #claim(run: readonly SpanTask[], seed: SpanTask): SpanTask[] {
    const claimed: SpanTask[] = [];
    let hasSeed = false;
    for (const task of run) {
      if (this.#claimOne(task)) {
        claimed.push(task);
        hasSeed ||= task === seed;
        continue;
      }
      if ((hasSeed || task === seed) && !seed.layer.hasNoRanges) break;
      if (seed.layer.hasNoRanges) continue;
      // What is before the gap waits for its own turn.
      for (const before of claimed.splice(0)) giveUpClaim(before);
    }
    if (!hasSeed) for (const task of claimed.splice(0)) giveUpClaim(task);
    return claimed;
  }

  #claimOne(task: SpanTask): boolean {
    const claim = task.layer.cached.claim(task.span);
    if (claim === "present") {
      this.#end(task);
      return false;
    }
    if (claim === "busy") {
      this.#lookElsewhere(task);
      return false;
    }
    task.claim = claim;
    return true;
  }

  // ---- spans that another process fills

  #lookElsewhere(task: SpanTask): void {
    this.#queues.delete(task);
    task.state = "elsewhere";
    this.#elsewhere.add(task);
    this.#elsewhereTimer ??= setTimeout(() => this.#lookAround(), ELSEWHERE_MS);
  }

  #lookAround(): void {
    this.#elsewhereTimer = undefined;
    for (const task of [...this.#elsewhere]) {
      const claim = task.layer.cached.claim(task.span);
      if (claim === "busy") continue;
      this.#elsewhere.delete(task);
      if (claim === "present") {
        this.#end(task);
        continue;
      }
      // It is taken again with the request.
      claim[Symbol.dispose]();
      task.state = "queued";
      this.#queues.put(task);
      this.#schedulePump();
    }
    if (this.#elsewhere.size > 0 && !this.#isClosed) {
      this.#elsewhereTimer = setTimeout(() => this.#lookAround(), ELSEWHERE_MS);
    }
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
    fetch.rebudget(0);
    this.#fetches.delete(fetch);
    const [next] = fetch.left;
    if (next !== undefined) {
      await this.#filling.stop(next);
      this.#putBack(fetch, error);
    }
    this.#schedulePump();
  }

  /** Demand does not wait for it: by the time that its bytes come, it is known. */
  async #makeRoom(fetch: RangeFetch): Promise<void> {
    const { geometry } = fetch.layer;
    const bytes = fetch.left.reduce((sum, { span }) => sum + geometry.uncompressedLength(span), 0);
    const asked = this.#options.reserve(bytes, priorityOf(fetch.urgency));
    if (fetch.urgency === DEMAND) {
      fetch.room = asked.then(
        (hasRoom) => {
          fetch.hasRoom = hasRoom;
        },
        (error: unknown) => {
          fetch.hasRoom = false;
          this.#log.warn("no room could be made in the cache", { error });
        },
      );
      return;
    }
    fetch.hasRoom = await asked;
    if (!fetch.hasRoom) throw new SociError("failed-precondition", NO_ROOM);
  }

  #opened(fetch: RangeFetch, isPartial: boolean, ms: number): void {
    const now = performance.now();
    const { layer } = fetch;
    layer.health.budget.answered(ms, now);
    if (!isPartial && !layer.hasNoRanges && layer.geometry.spanCount > 1) {
      layer.hasNoRanges = true;
      const { name } = layer.health.source;
      this.#log.info("source gives no ranges", { layer: layer.descriptor.digest, source: name });
      this.#options.onNoRanges(layer);
    }
    this.#fetches.favour(fetch);
  }

  #received(fetch: RangeFetch, bytes: number): void {
    const { health } = fetch.layer;
    const now = performance.now();
    health.budget.received(bytes, now);
    fetch.budgeted -= bytes;
    this.#counts.bytes[priorityOf(fetch.urgency)] += bytes;
    if (health.answered()) {
      this.#log.info("source answers again", { source: health.source.name });
      for (const layer of this.#layersOf(health)) {
        for (const task of layer.tasks.values()) task.notBefore = 0;
      }
    }
    if (this.#inFlight > this.#options.maxBytes && fetch.layer.hasNoRanges) fetch.pause();
    this.#fetches.balance(now);
    this.#schedulePump();
  }

  #layersOf(health: ScheduledLayer["health"]): Set<ScheduledLayer> {
    const layers = new Set<ScheduledLayer>();
    for (let urgency = DEMAND; urgency < UNWANTED; urgency++) {
      for (const { layer } of this.#queues.of(urgency)) {
        if (layer.health === health) layers.add(layer);
      }
    }
    return layers;
  }

  // ---- when a request has not brought all

  #putBack(fetch: RangeFetch, error: unknown): void {
    const left = [...fetch.left];
    if (error === undefined || error === BROKEN_OFF) {
      for (const task of left) this.#requeue(task);
      return;
    }
    const failure = isNoRoom(error) ? "final" : failureOf(error);
    const { health } = fetch.layer;
    const now = performance.now();
    if (failure === "source" && health.failed(now, retryAfterOf(error))) {
      this.#log.warn("source does not answer, asking again", { source: health.source.name, error });
    }
    for (const task of left) {
      task.error = error;
      // A server that gives a little each time gives all in the end.
      task.attempts = task.partial === undefined || task.attempts === 0 ? task.attempts + 1 : 1;
      task.notBefore = now + (retryWaitMs(BACK_OFF, { retries: task.attempts - 1 }) ?? 0);
      task.isFresh ||= isKind(error, "data-loss");
      if (failure === "final" || isGivenUp(task, failure)) {
        this.#leaveFetch(task);
        this.#end(task, this.#finalError(task, error));
      } else {
        this.#requeue(task);
      }
    }
  }

  #requeue(task: SpanTask): void {
    this.#leaveFetch(task);
    task.state = "queued";
    this.reweigh(task);
  }

  #leaveFetch(task: SpanTask): void {
    this.#uncount(task);
    task.fetch = undefined;
    giveUpClaim(task);
  }

  #finalError(task: SpanTask, cause: unknown): SociError {
    const { layer, span } = task;
    const source = layer.health.source.name;
    const kind = cause instanceof SociError ? cause.kind : "internal";
    if (!isNoRoom(cause)) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const fields = { layer: layer.descriptor.digest, span, source, reason };
      this.#log.error("span cannot be had", fields);
    }
    return new SociError(
      kind,
      `Cannot read span ${span} of layer ${layer.descriptor.digest} of "${source}"`,
      { cause },
    );
  }

  // ---- filling

  #fill(fetch: RangeFetch, task: SpanTask, compressed: CompressedSpan): void {
    task.state = "filling";
    task.fetch = undefined;
    this.#count(task);
    if (fetch.urgency === DEMAND) {
      fetch.reweigh();
      if (fetch.urgency > DEMAND) this.#fetches.resume();
    }
    const fill = (): void => {
      this.#filling.whole(task, compressed, fetch.hasRoom !== true || task.isForMemory);
    };
    if (fetch.hasRoom === undefined) void fetch.room.then(fill);
    else fill();
  }

  #filled(task: SpanTask, outcome: FillOutcome): void {
    const { layer, span } = task;
    this.#uncount(task);
    this.#fetches.resume();
    switch (outcome.kind) {
      case "filled":
        this.#noteFetched(task);
        task.claim?.markPresent();
        task.claim = undefined;
        this.#options.memory.delete(layer.id, span);
        this.#end(task);
        break;
      case "kept":
        this.#noteFetched(task);
        this.#keep(task, outcome.bytes);
        break;
      case "wrong":
        this.#wrong(task, outcome.error);
        break;
      case "failed":
      case "aborted":
        giveUpClaim(task);
        this.#end(task, this.#finalError(task, errorIn(outcome)));
    }
    this.#schedulePump();
  }

  #noteFetched({ layer, span }: SpanTask): void {
    this.#counts.spans += 1;
    if (layer.noteFetched(span)) this.#counts.evictedSpans += 1;
  }

  #keep(task: SpanTask, bytes: Uint8Array): void {
    const { layer, span } = task;
    this.#counts.memorySpans += 1;
    if (!this.#isFullKnown && !task.isForMemory) {
      this.#isFullKnown = true;
      this.#log.warn("no room in the cache: reading goes on from memory", {
        layer: layer.descriptor.digest,
      });
    }
    this.#options.memory.put(layer.id, span, bytes);
    giveUpClaim(task);
    this.#end(task);
  }

  #wrong(task: SpanTask, error: Error): void {
    const { layer, span } = task;
    this.#counts.wrongSpans += 1;
    giveUpClaim(task);
    task.wrongs += 1;
    const where = { layer: layer.descriptor.digest, span, source: layer.health.source.name };
    if (task.wrongs >= MAX_WRONGS) {
      this.#end(task, this.#finalError(task, error));
      return;
    }
    this.#log.warn("span refetched", { ...where, reason: error.message });
    task.isFresh = true;
    task.state = "queued";
    this.reweigh(task);
  }

  /** The task is over: its span is readable, or `error` says why not. */
  #end(task: SpanTask, error?: unknown): void {
    this.#queues.delete(task);
    task.layer.tasks.delete(task.span);
    task.dropPartial();
    this.#options.onEnd(task, error);
  }

  #drop(task: SpanTask): void {
    this.#elsewhere.delete(task);
    this.#queues.delete(task);
    giveUpClaim(task);
    task.layer.tasks.delete(task.span);
    task.dropPartial();
  }
}

const NO_ROOM = "Cannot fetch ahead: the cache is full";

export function isNoRoom(error: unknown): boolean {
  return isKind(error, "failed-precondition") && error.message === NO_ROOM;
}

function giveUpClaim(task: SpanTask): void {
  task.claim?.[Symbol.dispose]();
  task.claim = undefined;
}

/** Infinity: not before one of the requests under way has ended. */
function readyAt({ notBefore, layer }: SpanTask): number {
  return Math.max(notBefore, layer.health.readyAt() ?? Number.POSITIVE_INFINITY);
}

function isGivenUp({ attempts, urgency }: SpanTask, failure: "source" | "blob"): boolean {
  if (failure === "blob") return attempts >= MAX_BLOB_ATTEMPTS;
  return urgency >= BACKGROUND && attempts >= MAX_BACKGROUND_ATTEMPTS;
}

function errorIn(outcome: FillOutcome): Error {
  return "error" in outcome ? outcome.error : new Error("a fill was aborted after its last byte");
}
