import { isKind, SociError } from "../errors.ts";
import { HttpError } from "../oci/http-error.ts";
import { retryWaitMs } from "../oci/retry.ts";
import { DEMAND, UNWANTED } from "./fetch-priority.ts";
import type { SpanTask } from "./span-task.ts";

/**
 * What a failed request says: `source`: the place does not answer now, whatever is asked of it;
 * `blob`: it answers, but not with what was asked for, which another attempt may mend (a link that
 * has expired, a cache in between); `final`: no use in trying again.
 */
export type FetchFailure = "source" | "blob" | "final";

/** Failed requests for a blob that are enough; what has no deadline is not asked for for ever: two minutes. */
const MAX_BLOB_ATTEMPTS = 4;
const MAX_IDLE_ATTEMPTS = 40;
/** Bodies that are not the span's before it is given up. */
const MAX_WRONGS = 4;
const BACK_OFF = {
  maxRetries: Number.POSITIVE_INFINITY,
  baseMs: 100,
  maxMs: 3000,
  maxRetryAfterMs: Number.POSITIVE_INFINITY,
};

const NO_ROOM = "Cannot fetch ahead: the cache is full";

/** The cache has no room for what nobody waits for. */
export function noRoom(): SociError {
  return new SociError("failed-precondition", NO_ROOM);
}

export function isNoRoom(error: unknown): boolean {
  return isKind(error, "failed-precondition") && error.message === NO_ROOM;
}

export function failureOf(error: unknown): FetchFailure {
  if (error instanceof HttpError) return error.temporary ? "source" : "blob";
  if (isKind(error, "unavailable")) return "source";
  if (isKind(error, "data-loss", "not-found", "unauthenticated", "permission-denied")) {
    return "blob";
  }
  return "final";
}

/** How long the server asks to be left alone. */
export function retryAfterOf(error: unknown): number | undefined {
  return error instanceof HttpError ? error.retryAfterMs : undefined;
}

/**
 * Notes a failed request that was to bring `tasks`: they are asked for again together, at once when
 * some of it has come, else after a while. Returns those that are given up.
 */
export function noteFailure(
  tasks: readonly SpanTask[],
  error: unknown,
  now: number,
): readonly SpanTask[] {
  const failure = failureOf(error);
  // A server that gives a little each time gives all in the end.
  const hasProgressed = tasks[0]?.hasProgressed() ?? false;
  let retries = 0;
  for (const task of tasks) {
    task.error = error;
    task.attempts = hasProgressed ? 0 : task.attempts + 1;
    task.isFresh ||= isKind(error, "data-loss");
    retries = Math.max(retries, task.attempts - 1);
  }
  const waitMs = hasProgressed ? 0 : (retryWaitMs(BACK_OFF, { retries }) ?? 0);
  for (const task of tasks) task.notBefore = now + waitMs;
  return tasks.filter((task) => task.urgency < UNWANTED && isGivenUp(task, failure));
}

function isGivenUp({ attempts, urgency }: SpanTask, failure: FetchFailure): boolean {
  switch (failure) {
    case "source":
      return urgency > DEMAND && attempts >= MAX_IDLE_ATTEMPTS;
    case "blob":
      return attempts >= MAX_BLOB_ATTEMPTS;
    case "final":
      return true;
  }
}

/** Notes that what came was not the task's span; whether the task is given up. */
export function noteWrong(task: SpanTask, error: Error): boolean {
  task.error = error;
  task.wrongs += 1;
  task.isFresh = true;
  return task.wrongs >= MAX_WRONGS;
}

/** What those get who wait for a task that is given up. */
export function finalError({ layer, span }: SpanTask, cause: unknown): SociError {
  return new SociError(
    cause instanceof SociError ? cause.kind : "internal",
    `Cannot read span ${span} of layer ${layer.descriptor.digest} of "${layer.health.source.name}"`,
    { cause },
  );
}
