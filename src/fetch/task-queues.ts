import { FETCH_PRIORITIES, type Urgency } from "./fetch-priority.ts";
import type { SpanTask } from "./span-task.ts";

/** Tasks that wait to be requested, each urgency in the order of asking. */
export class TaskQueues {
  readonly #queues = FETCH_PRIORITIES.map(() => new Set<SpanTask>());

  /** Puts it at the end of the queue of its urgency; out of any other. */
  put(task: SpanTask): void {
    const queue = this.#queues[task.urgency];
    if (queue?.has(task)) return;
    this.delete(task);
    queue?.add(task);
  }

  delete(task: SpanTask): void {
    for (const queue of this.#queues) if (queue.delete(task)) return;
  }

  /** May be changed while it is walked through. */
  of(urgency: Urgency): Iterable<SpanTask> {
    return this.#queues[urgency] ?? [];
  }

  sizeOf(urgency: Urgency): number {
    return this.#queues[urgency]?.size ?? 0;
  }
}
