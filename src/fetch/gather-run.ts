import { BACKGROUND, DEMAND } from "./fetch-priority.ts";
import type { SpanTask } from "./span-task.ts";

/** One request, at most. */
const MAX_RANGE = 8 << 20;
/** Less urgent neighbours of a demanded span that come with it. */
const MAX_EXTRA = 2 << 20;

/** The tasks that are requested together with `seed`, in order: as many as its source has room for. */
export function gatherRequest(seed: SpanTask, now: number): SpanTask[] {
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
  const limit = budget.limit(now, seed.urgency === BACKGROUND);
  const room = Math.min(limit - budget.outstanding, MAX_RANGE);
  return gatherRun(seed, {
    maxBytes: isDemand ? MAX_RANGE : room,
    maxExtraBytes: isDemand ? MAX_EXTRA : room,
    now,
  });
}

interface GatherOptions {
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
function gatherRun(seed: SpanTask, { maxBytes, maxExtraBytes, now }: GatherOptions): SpanTask[] {
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
