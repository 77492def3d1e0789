import type { Urgency } from "./fetch-priority.ts";
import type { MemorySpans } from "./memory-spans.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import type { SpanTask } from "./span-task.ts";

export interface SpanWaitOptions {
  readonly urgency: Urgency;
  /** When it is given up, in the clock of performance.now(). */
  readonly deadline: number;
  /** The uncompressed bytes that it is for. */
  readonly start: number;
  readonly end: number;
}

/** One caller that waits for the spans of a range. */
export class SpanWait {
  readonly urgency: Urgency;
  readonly deadline: number;
  readonly start: number;
  readonly end: number;
  /** Those it still waits for. */
  readonly tasks = new Set<SpanTask>();
  readonly #outcome = Promise.withResolvers<void>();
  readonly #held = new DisposableStack();

  constructor({ urgency, deadline, start, end }: SpanWaitOptions) {
    this.urgency = urgency;
    this.deadline = deadline;
    this.start = start;
    this.end = end;
  }

  get done(): Promise<void> {
    return this.#outcome.promise;
  }

  /** What it needs of this span is there. */
  satisfied(task: SpanTask): void {
    this.tasks.delete(task);
    if (this.tasks.size === 0) this.#outcome.resolve();
  }

  fail(reason: unknown): void {
    this.#outcome.reject(reason);
  }

  /** What it needs of a span in memory stays there until it has all, and has had the time to read it. */
  hold(memory: MemorySpans, { id, geometry }: ScheduledLayer, span: number): void {
    const start = Math.max(this.start, geometry.uncompressedStart(span));
    const end = Math.min(this.end, geometry.uncompressedEnd(span));
    this.#held.use(memory.hold(id, span, start, end));
  }

  /** It is over. */
  letGo(): void {
    setImmediate(() => this.#held[Symbol.dispose]());
  }
}
