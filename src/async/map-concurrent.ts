import type { WaitOptions } from "./wait-options.ts";

export interface MapConcurrentOptions extends WaitOptions {
  /** How many run at once, at least 1. */
  readonly limit: number;
}

/**
 * Maps `items` with at most `limit` calls running; results are in the order of the items. The first
 * failure aborts the signal that the others got, waits until they have ended, and is thrown.
 */
export async function mapConcurrent<T, R>(
  items: readonly T[],
  work: (item: T, signal: AbortSignal, index: number) => Promise<R>,
  { limit, signal }: MapConcurrentOptions,
): Promise<R[]> {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new RangeError(`Cannot run ${limit} calls at once, want 1 or more`);
  }
  signal?.throwIfAborted();
  const controller = new AbortController();
  const inner =
    signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]);
  const results = new Array<R>(items.length);
  const queue = items.entries();
  let failure: { readonly reason: unknown } | undefined;
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (inner.aborted) {
        return;
      }
      try {
        results[index] = await work(item, inner, index);
      } catch (reason) {
        failure ??= { reason };
        controller.abort(reason);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  signal?.throwIfAborted();
  if (failure !== undefined) {
    throw failure.reason;
  }
  return results;
}
