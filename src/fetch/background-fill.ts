import { isNoRoom } from "./fetch-failure.ts";
import { BACKGROUND, READAHEAD, UNWANTED, type Urgency } from "./fetch-priority.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import type { SpanPipeline } from "./span-pipeline.ts";
import type { SpanTask } from "./span-task.ts";

/**
 * `complete`: all of the layer is present; `no-room`: the cache would have to evict for more;
 * `stopped`: by who started it.
 */
export type FillEnd = "complete" | "no-room" | "stopped";

export interface FillProgress {
  /** Compressed bytes of the spans that are present, and of all. */
  readonly bytes: number;
  readonly totalBytes: number;
}

/** Spans are asked for in portions of this size. */
const PORTION_BYTES = 8 << 20;
/**
 * Spans about one that somebody has read, in the order in which they are likely to be next: programs
 * read a directory's files in an order of their own, but few directories at a time.
 */
const NEAR = [1, 2, -1, 3, -2, 4] as const;
/** What lies near that many readings comes before the rest. */
const REMEMBERED = 4;
/** What was evicted meanwhile, or failed, is asked for once more. */
const PASSES = 2;

/** All of a layer made present, behind everything else that is wanted. */
export class BackgroundFill {
  readonly layer: ScheduledLayer;
  readonly #pipeline: SpanPipeline;
  readonly #outcome = Promise.withResolvers<FillEnd>();
  #cursor = 0;
  /** Tasks of spans near what was read last, the newest last, each with the reading that it is near. */
  readonly #near = new Map<SpanTask, number>();
  #readings = 0;
  #passes = 0;
  #error: { readonly cause: unknown } | undefined;
  #isFull = false;
  #isOver = false;

  constructor(layer: ScheduledLayer, pipeline: SpanPipeline) {
    this.layer = layer;
    this.#pipeline = pipeline;
    layer.isFilling = true;
    // Who starts it need not look at how it ends.
    this.#outcome.promise.catch(() => undefined);
  }

  /** How it has ended; throws the first failure when spans cannot be had. */
  get done(): Promise<FillEnd> {
    return this.#outcome.promise;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get progress(): FillProgress {
    const { cached, geometry } = this.layer;
    let [bytes, totalBytes] = [0, 0];
    for (let span = 0; span < geometry.spanCount; span++) {
      const length = this.layer.compressedLength(span);
      totalBytes += length;
      if (cached.isPresent(span)) bytes += length;
    }
    return { bytes, totalBytes };
  }

  /**
   * Somebody has read this span: what lies about it comes before the rest, and before what lay about
   * the one read earlier, up to so many bytes. All of it would come anyway: nothing is fetched in vain.
   */
  near(read: number, maxBytes: number): void {
    if (this.#isOver || this.#isFull) return;
    const { cached, geometry } = this.layer;
    this.#readings += 1;
    for (const [task, reading] of this.#near) {
      if (reading > this.#readings - REMEMBERED) break;
      this.#near.delete(task);
      if (task.state === "queued") this.#stand(task, BACKGROUND);
    }
    let bytes = 0;
    for (const distance of NEAR) {
      const span = read + distance;
      if (span < 0 || span >= geometry.spanCount) continue;
      if (cached.isPresent(span) || this.#isTooLarge(span)) continue;
      bytes += this.layer.compressedLength(span);
      if (bytes > maxBytes) break;
      const task = this.#pipeline.taskOf(this.layer, span);
      if (task.standing < READAHEAD) continue;
      this.#near.delete(task);
      this.#near.set(task, this.#readings);
      this.#stand(task, READAHEAD);
    }
  }

  /** Asks for the next spans; false when there are none to ask for now. */
  ask(): boolean {
    if (this.#isOver) return false;
    const { cached, geometry, tasks } = this.layer;
    let bytes = 0;
    let hasAsked = false;
    for (; this.#cursor < geometry.spanCount; this.#cursor++) {
      if (bytes >= PORTION_BYTES && !this.layer.hasNoRanges) break;
      const span = this.#cursor;
      if (cached.isPresent(span) || this.#isTooLarge(span)) continue;
      const isNew = !tasks.has(span);
      const task = this.#pipeline.taskOf(this.layer, span);
      task.standing = Math.min(task.standing, BACKGROUND);
      this.#pipeline.reweigh(task);
      bytes += task.compressedLength;
      hasAsked ||= isNew;
    }
    if (!hasAsked) this.#look();
    return hasAsked;
  }

  /** A task of the layer is over. */
  ended(task: SpanTask, error?: unknown): void {
    this.#near.delete(task);
    if (this.#isOver) return;
    if (isNoRoom(error)) this.#stopAsking();
    else if (error !== undefined) this.#error ??= { cause: error };
    this.#look();
  }

  stop(): void {
    this.#finish(() => this.#outcome.resolve("stopped"));
  }

  #stand(task: SpanTask, urgency: Urgency): void {
    task.standing = urgency;
    this.#pipeline.reweigh(task);
  }

  #isTooLarge(span: number): boolean {
    try {
      this.layer.checkSize(span);
      return false;
    } catch (cause) {
      this.#error ??= { cause };
      return true;
    }
  }

  /** What has been requested still comes. */
  #stopAsking(): void {
    this.#isFull = true;
    this.#cursor = this.layer.geometry.spanCount;
    for (const task of [...this.layer.tasks.values()]) {
      if (task.state === "queued") this.#leave(task);
    }
    this.#near.clear();
  }

  #look(): void {
    const { geometry, tasks, cached } = this.layer;
    if (this.#isOver || this.#cursor < geometry.spanCount || tasks.size > 0) return;
    if (cached.isComplete) {
      this.#finish(() => this.#outcome.resolve("complete"));
      return;
    }
    this.#passes += 1;
    if (this.#isFull) {
      this.#finish(() => this.#outcome.resolve("no-room"));
    } else if (this.#passes < PASSES) {
      this.#cursor = 0;
      this.#pipeline.pumpSoon();
    } else if (this.#error === undefined) {
      // Others need the room that its spans took.
      this.#finish(() => this.#outcome.resolve("no-room"));
    } else {
      const { cause } = this.#error;
      this.#finish(() => this.#outcome.reject(cause));
    }
  }

  #finish(settle: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.layer.isFilling = false;
    for (const task of [...this.layer.tasks.values()]) this.#leave(task);
    this.#near.clear();
    settle();
  }

  #leave(task: SpanTask): void {
    if (task.standing !== BACKGROUND && !this.#near.has(task)) return;
    task.standing = UNWANTED;
    this.#pipeline.reweigh(task);
  }
}
