import type { WaitOptions } from "../async/wait-options.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import { DAMAGED } from "../cache/layer-reader.ts";
import { SociError } from "../errors.ts";
import { type Logger, NO_LOG } from "../observability/log.ts";
import { RepeatGate } from "../observability/repeat-gate.ts";
import type { ImageSource } from "../oci/image-source.ts";
import { AheadWatch } from "./ahead-watch.ts";
import { BackgroundFill } from "./background-fill.ts";
import { roomIn } from "./cache-room.ts";
import { DEMAND, type FetchPriority, READAHEAD, urgencyOf } from "./fetch-priority.ts";
import { MemorySpans } from "./memory-spans.ts";
import { readRange, tellDamage } from "./read-range.ts";
import { type LayerToSchedule, ScheduledLayer } from "./scheduled-layer.ts";
import { copyCounts, noCounts, type SchedulerStats } from "./scheduler-stats.ts";
import type { AheadRange } from "./sequential-streams.ts";
import { SourceHealth } from "./source-health.ts";
import type { SpanFiller } from "./span-filler.ts";
import { SpanPipeline } from "./span-pipeline.ts";
import type { SpanTask } from "./span-task.ts";
import { SpanWait } from "./span-wait.ts";
import { WholeFetches } from "./whole-fetches.ts";

export interface SpanSchedulerOptions {
  /** Not owned; disposed after the scheduler. */
  readonly filler: SpanFiller;
  /** Where room is made for the spans of its layers. */
  readonly cache: LayerCache;
  /** Gives the memory of bytes back that nobody needs, at once; they are undefined then. */
  readonly discard?: (bytes: Uint8Array) => void;
  readonly log?: Logger;
  /** How long a demanded range may take, failures and all. */
  readonly deadlineMs?: number | undefined;
  /** Compressed bytes under way, at most, of what nobody waits for, and of all. */
  readonly maxBytes?: number;
  readonly maxDemandBytes?: number;
  /** Inflated bytes kept when the disk has no room. */
  readonly maxMemoryBytes?: number;
}

export interface ScheduledSource extends LayerToSchedule {
  readonly source: ImageSource;
}

export interface WantOptions extends WaitOptions {
  readonly priority?: FetchPriority;
  /** Uncompressed offset at which the file ends that is read: how far it makes sense to read ahead. */
  readonly fileEnd?: number | undefined;
  /** Keep it in memory: what had come before was gone again when it was to be read. */
  readonly isForMemory?: boolean | undefined;
}

export interface ReadOptions extends Pick<WantOptions, "fileEnd" | "signal"> {
  readonly at?: number;
}

/** One call of want(), its defaults filled in. */
interface Wanted extends AheadRange {
  readonly priority: FetchPriority;
  readonly fileEnd: number | undefined;
  readonly isForMemory: boolean;
  readonly signal: AbortSignal | undefined;
}

const MiB = 1 << 20;
const WATCH_MS = 250;
const TRIM_MS = 1000;
/** Parts of what the line holds. */
const NEAR_PART = 0.5;
const NEXT_PART = 0.35;
/** After so many rounds in which what had come was gone again, a span is kept in memory for its reader. */
const ROUNDS_TO_MEMORY = 3;

/**
 * Brings spans of layers into the cache: what is asked for first by its priority, then in the order
 * of asking; each span once, whoever wants it. See design §5, "Span scheduler".
 */
export class SpanScheduler implements AsyncDisposable {
  readonly #options: SpanSchedulerOptions;
  readonly #log: Logger;
  readonly #late = new RepeatGate();
  readonly #deadlineMs: number;
  readonly #layers = new Map<number, ScheduledLayer>();
  readonly #sources = new Map<ImageSource, SourceHealth>();
  readonly #fills = new Map<ScheduledLayer, BackgroundFill>();
  readonly #wholes = new WholeFetches((layer) => this.#tellLate(layer));
  readonly #waits = new Set<SpanWait>();
  readonly #memory: MemorySpans;
  readonly #counts = noCounts();
  readonly #pipeline: SpanPipeline;
  readonly #ahead = new AheadWatch((layer, span) => {
    const { geometry, streams } = layer;
    const start = geometry.uncompressedStart(span);
    this.#readAhead(layer, streams.advance(start, geometry.uncompressedEnd(span)));
    this.#near(layer, span);
  });
  #watchTimer: NodeJS.Timeout | undefined;
  #trimTimer: NodeJS.Timeout | undefined;
  #isWarm = false;
  #isDisposed = false;

  constructor(options: SpanSchedulerOptions) {
    const { maxBytes = 24 * MiB, maxDemandBytes = 72 * MiB, maxMemoryBytes = 32 * MiB } = options;
    const { filler, cache, log = NO_LOG, deadlineMs = 300_000 } = options;
    this.#options = options;
    this.#log = log;
    this.#deadlineMs = deadlineMs;
    this.#memory = new MemorySpans({ maxBytes: maxMemoryBytes });
    this.#pipeline = new SpanPipeline({
      filler,
      discard: options.discard,
      reserve: roomIn(cache),
      log,
      maxBytes,
      maxDemandBytes,
      memory: this.#memory,
      counts: this.#counts,
      askMore: () => this.#askMore(),
      onNoRanges: (layer) => this.#fillAll(layer),
      onEnd: (task, error) => this.#ended(task, error),
    });
  }

  get stats(): SchedulerStats {
    return copyCounts(this.#counts);
  }

  addLayer({ source, ...toSchedule }: ScheduledSource): void {
    this.#refuseDisposed();
    if (this.#layers.has(toSchedule.id)) throw new Error(`layer ${toSchedule.id} is there already`);
    let health = this.#sources.get(source);
    if (health === undefined) {
      health = new SourceHealth(source);
      this.#sources.set(source, health);
    }
    const layer = new ScheduledLayer(toSchedule, health);
    this.#layers.set(layer.id, layer);
    this.#options.filler.openLayer(layer.id, layer.cached.handle);
  }

  /** Cancels what is wanted of it; its CachedLayer may be closed then. */
  async removeLayer(id: number): Promise<void> {
    const layer = this.#layers.get(id);
    if (layer === undefined) return;
    this.#layers.delete(id);
    await this.#retire(layer);
    if (![...this.#layers.values()].some(({ health }) => health === layer.health)) {
      this.#sources.delete(layer.health.source);
    }
  }

  /**
   * Until all of [start, end) can be read by readRange(). Small caches may lose it again before it is
   * read: then ask again. @throws unavailable after the deadline; data-loss when what the source
   * gives stays wrong; the signal's reason
   */
  async want(
    id: number,
    start: number,
    end: number,
    { priority = "demand", fileEnd, isForMemory = false, signal }: WantOptions = {},
  ): Promise<void> {
    signal?.throwIfAborted();
    await this.#want(this.#layer(id), { start, end, priority, fileEnd, isForMemory, signal });
  }

  /**
   * Puts the uncompressed bytes [start, end) of a layer to `bytes[at]` and on, if they are here: in
   * the cache, in a span that is being filled, or in memory. Returns their number, MISS or DAMAGED.
   * May write up to READ_SLACK_BYTES before `at` and behind the end.
   */
  readRange(id: number, start: number, end: number, bytes: Uint8Array, at: number): number {
    const layer = this.#layer(id);
    const count = readRange(layer, this.#memory, { start, end, bytes, at });
    if (count === DAMAGED) tellDamage(layer, start, end);
    return count;
  }

  /** The same, waiting for what is not here. */
  async read(
    id: number,
    start: number,
    end: number,
    bytes: Uint8Array,
    { at = 0, fileEnd, signal }: ReadOptions = {},
  ): Promise<number> {
    const layer = this.#layer(id);
    for (let round = 0; ; round++) {
      signal?.throwIfAborted();
      const count = readRange(layer, this.#memory, { start, end, bytes, at });
      if (count >= 0) return count;
      if (count === DAMAGED) tellDamage(layer, start, end);
      const isForMemory = round >= ROUNDS_TO_MEMORY;
      await this.#want(layer, { start, end, priority: "demand", fileEnd, signal, isForMemory });
    }
  }

  /** Makes all of a layer present, behind everything else; one fill a layer, whoever asks. */
  fill(id: number): BackgroundFill {
    return this.#fillAll(this.#layer(id));
  }

  /** Cancels everything, and ends when nothing is under way. Sources, layers and filler may go then. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    const layers = [...this.#layers.values()];
    this.#layers.clear();
    await Promise.all(layers.map((layer) => this.#retire(layer)));
    this.#pipeline.close();
    this.#ahead[Symbol.dispose]();
    this.#memory.clear();
    clearInterval(this.#watchTimer);
    clearTimeout(this.#trimTimer);
  }

  async #retire(layer: ScheduledLayer): Promise<void> {
    this.#fills.get(layer)?.stop();
    this.#fills.delete(layer);
    this.#ahead.remove(layer);
    const reason = new DOMException("the layer is closed", "AbortError");
    for (const task of [...layer.tasks.values()]) {
      for (const wait of [...task.waits.keys()]) this.#leave(wait, reason);
    }
    await Promise.all([this.#pipeline.leave(layer), this.#wholes.end(layer, reason)]);
    this.#options.filler.closeLayer(layer.id);
  }

  async #want(layer: ScheduledLayer, wanted: Wanted): Promise<void> {
    const { start, end, priority, fileEnd, signal } = wanted;
    this.#refuseDisposed();
    layer.checkRange(start, end);
    if (start === end) return;
    const urgency = urgencyOf(priority);
    const deadlineMs = urgency === DEMAND ? this.#deadlineMs : Number.POSITIVE_INFINITY;
    if (layer.geometry.encoding === "whole") {
      await this.#wholes.want(layer, { start, end, deadlineMs, signal });
      return;
    }
    if (urgency === DEMAND) {
      this.#warm();
      this.#readAhead(layer, layer.streams.observe(start, end, fileEnd));
    }
    const deadline = performance.now() + deadlineMs;
    const wait = new SpanWait({ urgency, deadline, start, end });
    this.#attach(layer, wait, wanted);
    if (urgency === DEMAND) this.#nearSoon(layer, layer.geometry.spanOf(end - 1));
    if (wait.tasks.size === 0) {
      wait.letGo();
      return;
    }
    this.#waits.add(wait);
    this.#watchTimer ??= setInterval(() => this.#watch(), WATCH_MS);
    const abort = (): void => this.#leave(wait, signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await wait.done;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#waits.delete(wait);
      wait.letGo();
    }
  }

  #attach(layer: ScheduledLayer, wait: SpanWait, { start, end, isForMemory }: Wanted): void {
    const { geometry } = layer;
    const first = geometry.spanOf(start);
    const last = geometry.spanOf(end - 1);
    for (let span = first; span <= last; span++) layer.checkSize(span);
    for (let span = first; span <= last; span++) {
      if (layer.cached.isPresent(span)) continue;
      if (this.#memory.has(layer.id, span)) {
        wait.hold(this.#memory, layer, span);
        continue;
      }
      const needed = Math.min(end, geometry.uncompressedEnd(span));
      const task = this.#pipeline.taskOf(layer, span);
      if (task.fill !== undefined && task.fill.reached >= needed) continue;
      task.waits.set(wait, needed);
      task.isForMemory ||= isForMemory;
      wait.tasks.add(task);
      this.#pipeline.reweigh(task);
    }
  }

  /** A caller goes; what only it wanted is cancelled. */
  #leave(wait: SpanWait, reason: unknown): void {
    wait.fail(reason);
    for (const task of wait.tasks) {
      task.waits.delete(wait);
      this.#pipeline.reweigh(task);
    }
    wait.tasks.clear();
  }

  #ended(task: SpanTask, error: unknown): void {
    const { layer, span, waits } = task;
    const wasAhead = task.standing === READAHEAD && waits.size === 0;
    for (const wait of [...waits.keys()]) {
      waits.delete(wait);
      if (error === undefined) {
        if (this.#memory.has(layer.id, span)) wait.hold(this.#memory, layer, span);
        wait.satisfied(task);
      } else {
        wait.tasks.delete(task);
        this.#leave(wait, error);
      }
    }
    if (wasAhead && layer.cached.isPresent(span)) this.#ahead.add(layer, span);
    this.#fills.get(layer)?.ended(task, error);
    this.#trimTimer ??= setTimeout(() => this.#trim(), TRIM_MS).unref();
  }

  #readAhead(layer: ScheduledLayer, range: AheadRange | undefined): void {
    const { geometry, cached, id } = layer;
    if (range === undefined || range.start >= geometry.dataSize) return;
    const last = geometry.spanOf(Math.min(range.end, geometry.dataSize) - 1);
    for (let span = geometry.spanOf(range.start); span <= last; span++) {
      if (cached.isPresent(span) || this.#memory.has(id, span)) continue;
      const task = this.#pipeline.taskOf(layer, span);
      task.standing = Math.min(task.standing, READAHEAD);
      this.#pipeline.reweigh(task);
    }
  }

  /** What is requested at once shares the line: what is near comes behind what is waited for. */
  #nearSoon(layer: ScheduledLayer, span: number): void {
    const { rate } = layer.health.budget;
    if (rate === 0) return;
    const timer = setTimeout(
      () => {
        if (this.#layers.get(layer.id) === layer) this.#near(layer, span);
      },
      layer.compressedLength(span) / rate,
    );
    timer.unref();
  }

  /**
   * Somebody reads this span: as many of those about it as the line brings while it is waited for are
   * as good as free. Without a fill only the next one, where it is less than a third of that: files of
   * a directory lie together, and programs read many of one before they go to the next.
   */
  #near(layer: ScheduledLayer, span: number): void {
    const { budget } = layer.health;
    const free = budget.rate * budget.latencyMs;
    const fill = this.#fills.get(layer);
    if (fill !== undefined && !fill.isOver) {
      fill.near(span, free * NEAR_PART);
      return;
    }
    const { geometry } = layer;
    const next = span + 1;
    if (next >= geometry.spanCount || layer.compressedLength(next) > free * NEXT_PART) return;
    const start = geometry.uncompressedStart(next);
    this.#readAhead(layer, { start, end: geometry.uncompressedEnd(next) });
  }

  #fillAll(layer: ScheduledLayer): BackgroundFill {
    const running = this.#fills.get(layer);
    if (running !== undefined && !running.isOver) return running;
    const fill = new BackgroundFill(layer, this.#pipeline);
    this.#fills.set(layer, fill);
    this.#warm();
    this.#pipeline.pumpSoon();
    return fill;
  }

  #askMore(): boolean {
    for (const fill of this.#fills.values()) if (fill.ask()) return true;
    return false;
  }

  #warm(): void {
    if (this.#isWarm) return;
    this.#isWarm = true;
    this.#options.filler.warm();
  }

  #watch(): void {
    const now = performance.now();
    for (const wait of [...this.#waits]) {
      if (now >= wait.deadline) this.#giveUp(wait);
    }
    this.#pipeline.watch(now);
    if (this.#waits.size > 0) return;
    clearInterval(this.#watchTimer);
    this.#watchTimer = undefined;
  }

  #giveUp(wait: SpanWait): void {
    const [task] = wait.tasks;
    if (task === undefined) return;
    const { layer, span, error } = task;
    const { digest } = layer.descriptor;
    const source = layer.health.source.name;
    const reason = error instanceof Error ? error.message : "it took too long";
    const level = this.#late.lets(digest) ? "error" : "debug";
    this.#log[level]("span cannot be had in time", { layer: digest, span, source, reason });
    const message = `Cannot read span ${span} of layer ${digest} of "${source}" within ${this.#deadlineMs} ms`;
    this.#leave(wait, new SociError("unavailable", message, { cause: error }));
  }

  #tellLate({ descriptor: { digest }, health }: ScheduledLayer): void {
    const level = this.#late.lets(digest) ? "error" : "debug";
    this.#log[level]("layer cannot be had in time", { layer: digest, source: health.source.name });
  }

  #trim(): void {
    this.#trimTimer = undefined;
    const ids = this.#pipeline.chunks.trim();
    if (ids.length > 0) this.#options.filler.dropChunks(ids);
    const isHeld = this.#pipeline.chunks.heldBytes > 0;
    if (!isHeld || this.#isDisposed) return;
    this.#trimTimer = setTimeout(() => this.#trim(), TRIM_MS).unref();
  }

  #layer(id: number): ScheduledLayer {
    const layer = this.#layers.get(id);
    if (layer === undefined) throw new Error(`layer ${id} is not scheduled`);
    return layer;
  }

  #refuseDisposed(): void {
    if (this.#isDisposed) throw new DOMException("the scheduler is closed", "AbortError");
  }
}
