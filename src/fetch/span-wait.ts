import type { Urgency } from "./fetch-priority.ts";
import type { SpanTask } from "./span-task.ts";

/** One caller that waits for the spans of a range. */
export class SpanWait {
  readonly urgency: Urgency;
  /** When it is given up, in the clock of performance.now(). */
  readonly deadline: number;
  /** Those it still waits for. */
  readonly tasks = new Set<SpanTask>();
  readonly #outcome = Promise.withResolvers<void>();

  constructor(urgency: Urgency, deadline: number) {
    this.urgency = urgency;
    this.deadline = deadline;
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
}
