import type { Logger } from "../observability/log.ts";
import { RepeatGate } from "../observability/repeat-gate.ts";
import { finalError, isNoRoom, noRoom, noteWrong } from "./fetch-failure.ts";
import { UNWANTED } from "./fetch-priority.ts";
import type { MemorySpans } from "./memory-spans.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import { SharedChunks } from "./shared-chunks.ts";
import type { FillOutcome, SpanFiller } from "./span-filler.ts";
import { SpanFilling } from "./span-filling.ts";
import { SpanRequests, type SpanRequestsOptions } from "./span-requests.ts";
import { SpanTask } from "./span-task.ts";

export interface SpanPipelineOptions extends Pick<
  SpanRequestsOptions,
  "reserve" | "log" | "counts" | "maxBytes" | "maxDemandBytes" | "askMore" | "onNoRanges"
> {
  readonly filler: SpanFiller;
  /** Gives the memory of bytes back that nobody needs, at once; they are undefined then. */
  readonly discard?: ((bytes: Uint8Array) => void) | undefined;
  readonly memory: MemorySpans;
  /** A task is over: its span is readable, or `error` says why not. */
  readonly onEnd: (task: SpanTask, error?: unknown) => void;
}

/** Spans from wanting them to having them: requests, then inflate threads, then cache or memory. */
export class SpanPipeline {
  readonly chunks: SharedChunks;
  readonly #options: SpanPipelineOptions;
  readonly #log: Logger;
  readonly #lost = new RepeatGate();
  readonly #filling: SpanFilling;
  readonly #requests: SpanRequests;
  #isFullTold = false;

  constructor(options: SpanPipelineOptions) {
    this.chunks = new SharedChunks({ discard: options.discard });
    this.#options = options;
    this.#log = options.log;
    this.#filling = new SpanFilling({
      filler: options.filler,
      chunks: this.chunks,
      onEnd: (task, outcome) => this.#filled(task, outcome),
    });
    this.#requests = new SpanRequests({
      ...options,
      chunks: this.chunks,
      filling: this.#filling,
      onSpan: (task, compressed) => {
        this.#filling.whole(task, compressed, task.room === undefined || task.isForMemory);
      },
      onPresent: (task) => this.#end(task),
      onLost: (task, error) => this.#lose(task, error),
      onUnwanted: (task) => this.#drop(task),
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
    this.#requests.reweighed(task, hasChanged);
  }

  /** There may be something to request. */
  pumpSoon(): void {
    this.#requests.pumpSoon();
  }

  /** To be called now and then while there are demands. */
  watch(now: number): void {
    this.#requests.watch(now);
  }

  /** Nothing more is wanted of the layer; resolves when nothing of it is under way. */
  async leave(layer: ScheduledLayer): Promise<void> {
    for (const task of [...layer.tasks.values()]) {
      task.standing = UNWANTED;
      this.reweigh(task);
    }
    await this.#requests.leave(layer);
    await layer.idle();
  }

  close(): void {
    this.#requests.close();
  }

  #filled(task: SpanTask, outcome: FillOutcome): void {
    const { layer, span } = task;
    this.#requests.filled(task);
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
        this.#lose(task, outcome.error);
        return;
      case "aborted":
        throw new Error("a fill was aborted after its last byte");
    }
  }

  #noteFetched({ layer, span }: SpanTask): void {
    this.#options.counts.spans += 1;
    if (layer.noteFetched(span)) this.#options.counts.evictedSpans += 1;
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
    this.#options.counts.memorySpans += 1;
    const start = layer.geometry.uncompressedStart(span);
    this.#options.memory.put({ layer: layer.id, span, start, bytes });
    this.#end(task);
  }

  #wrong(task: SpanTask, error: Error): void {
    const { layer, span } = task;
    this.#options.counts.wrongSpans += 1;
    if (noteWrong(task, error)) {
      this.#lose(task, error);
      return;
    }
    const { digest } = layer.descriptor;
    const source = layer.health.source.name;
    this.#log.warn("span refetched", { layer: digest, span, source, reason: error.message });
    this.#requests.queue(task);
  }

  #lose(task: SpanTask, cause: unknown): void {
    if (isNoRoom(cause)) {
      this.#end(task, cause);
      return;
    }
    const { layer, span } = task;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const source = layer.health.source.name;
    const { digest } = layer.descriptor;
    // Whoever reads it again and again is told once in a while.
    const level = this.#lost.lets(digest) ? "error" : "debug";
    this.#log[level]("span cannot be had", { layer: digest, span, source, reason });
    this.#end(task, finalError(task, cause));
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
    this.#requests.forget(task);
    task.layer.forget(task.span);
  }
}
