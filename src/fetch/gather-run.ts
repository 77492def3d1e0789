import type { SpanTask } from "./span-task.ts";

export interface GatherOptions {
  /** For one request. */
  readonly maxBytes: number;
  /** Less urgent neighbours come along up to this size. */
  readonly maxExtraBytes: number;
  readonly now: number;
}

/**
 * The tasks that are requested together with `seed`: its neighbours that are queued too, in order.
 * What has failed is asked for again alone, and what has begun to come begins a request.
 */
export function gatherRun(
  seed: SpanTask,
  { maxBytes, maxExtraBytes, now }: GatherOptions,
): SpanTask[] {
  const run = [seed];
  if (seed.isFresh) return run;
  const { tasks } = seed.layer;
  let bytes = seed.compressedLength;
  const take = (span: number): SpanTask | undefined => {
    const task = tasks.get(span);
    if (task === undefined || task.state !== "queued" || task.isFresh || task.notBefore > now) {
      return undefined;
    }
    const limit = task.urgency <= seed.urgency ? maxBytes : maxExtraBytes;
    if (bytes + task.compressedLength > limit) return undefined;
    bytes += task.compressedLength;
    return task;
  };
  if (seed.partial === undefined) {
    for (let span = seed.span - 1; ; span--) {
      // Nobody waits longer for what comes first than for all of it.
      if ((tasks.get(span)?.urgency ?? Number.POSITIVE_INFINITY) > seed.urgency) break;
      const task = take(span);
      if (task === undefined) break;
      run.unshift(task);
      if (task.partial !== undefined) break;
    }
  }
  for (let span = seed.span + 1; ; span++) {
    if (tasks.get(span)?.partial !== undefined) break;
    const task = take(span);
    if (task === undefined) break;
    run.push(task);
  }
  return run;
}
