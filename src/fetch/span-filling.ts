import type { CompressedSpan } from "./compressed-body.ts";
import { releaseSpan } from "./compressed-body.ts";
import { BACKGROUND } from "./fetch-priority.ts";
import type { SharedChunks } from "./shared-chunks.ts";
import type { FillHandle, FillOutcome, SpanFiller } from "./span-filler.ts";
import type { SpanTask } from "./span-task.ts";

export interface SpanFillingOptions {
  readonly filler: SpanFiller;
  readonly chunks: SharedChunks;
  /** The fill of a task's span is over. */
  readonly onEnd: (task: SpanTask, outcome: FillOutcome) => void;
}

interface Filling {
  readonly handle: FillHandle;
  /** Its chunks, as long as the threads may look at them. */
  held: CompressedSpan;
  /** Whether all bytes have come. */
  isComplete: boolean;
  readonly ended: PromiseWithResolvers<void>;
}

/** Spans on their way through the inflate threads; a demanded one from its first bytes on. */
export class SpanFilling {
  readonly #options: SpanFillingOptions;
  readonly #fillings = new Map<SpanTask, Filling>();

  constructor(options: SpanFillingOptions) {
    this.#options = options;
  }

  /** The first bytes of a span, from its start: `compressed` is released here. */
  part(task: SpanTask, compressed: CompressedSpan): void {
    this.#give(task, compressed, { isComplete: false, toMemory: false });
  }

  /** All bytes of a span. */
  whole(task: SpanTask, compressed: CompressedSpan, toMemory: boolean): void {
    this.#give(task, compressed, { isComplete: true, toMemory });
  }

  /** The rest of a span will not come soon: resolves when nothing is written any more. */
  async stop(task: SpanTask): Promise<void> {
    const filling = this.#fillings.get(task);
    if (filling === undefined || filling.isComplete) return;
    filling.handle.abort();
    await filling.ended.promise;
  }

  /** Somebody else waits for a task's span. */
  want(task: SpanTask): void {
    if (task.waits.size > 0) task.fill?.want(task.urgency, task.wantEnd);
  }

  #give(
    task: SpanTask,
    compressed: CompressedSpan,
    how: { readonly isComplete: boolean; readonly toMemory: boolean },
  ): void {
    const filling = this.#fillings.get(task);
    if (filling === undefined) {
      this.#start(task, compressed, how);
      return;
    }
    filling.handle.append(compressed, how.isComplete);
    filling.isComplete = how.isComplete;
    releaseSpan(this.#options.chunks, filling.held);
    filling.held = compressed;
  }

  #start(
    task: SpanTask,
    compressed: CompressedSpan,
    { isComplete, toMemory }: { readonly isComplete: boolean; readonly toMemory: boolean },
  ): void {
    const { layer, span } = task;
    const handle = this.#options.filler.fill(
      {
        layer: layer.id,
        span,
        uncompressedStart: layer.geometry.uncompressedStart(span),
        compressed,
        isComplete,
        urgency: Math.min(task.urgency, BACKGROUND),
        wantEnd: task.wantEnd,
        toMemory,
      },
      {
        onReached: () => this.#reached(task),
        onEnd: (outcome) => this.#end(task, outcome),
      },
    );
    task.fill = handle;
    const ended = Promise.withResolvers<void>();
    this.#fillings.set(task, { handle, held: compressed, isComplete, ended });
  }

  #reached(task: SpanTask): void {
    const reached = task.fill?.reached ?? 0;
    for (const [wait, end] of task.waits) {
      if (end > reached) continue;
      task.waits.delete(wait);
      wait.satisfied(task);
    }
    task.reweigh();
    this.want(task);
  }

  #end(task: SpanTask, outcome: FillOutcome): void {
    const filling = this.#fillings.get(task);
    if (filling === undefined) return;
    this.#fillings.delete(task);
    task.fill = undefined;
    releaseSpan(this.#options.chunks, filling.held);
    filling.ended.resolve();
    // What ends before its last byte has come begins again with it.
    if (filling.isComplete) this.#options.onEnd(task, outcome);
  }
}
