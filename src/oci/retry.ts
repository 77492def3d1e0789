export interface RetryPolicy {
  /** Attempts after the first. */
  readonly maxRetries: number;
  /** Wait before the first retry; it doubles each time. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** A Retry-After longer than this is not waited for: the request fails at once. */
  readonly maxRetryAfterMs: number;
  /** No attempt begins later than this after the first; no bound when not given. */
  readonly maxElapsedMs?: number;
}

export const DEFAULT_RETRY: RetryPolicy = {
  maxRetries: 5,
  baseMs: 200,
  maxMs: 10_000,
  maxRetryAfterMs: 60_000,
  maxElapsedMs: 120_000,
};

export interface RetryWait {
  /** Retries made so far. */
  readonly retries: number;
  readonly retryAfterMs?: number | undefined;
  /** Since the first attempt began. */
  readonly elapsedMs?: number;
  readonly random?: () => number;
}

/**
 * Milliseconds to wait before the next attempt; `undefined` when there shall be none. Waits double
 * from `baseMs` to `maxMs`, half of each is random; a Retry-After is waited for in full, and up to
 * an eighth longer, so that clients sent away together do not come back together.
 */
export function retryWaitMs(
  policy: RetryPolicy,
  { retries, retryAfterMs, elapsedMs = 0, random = Math.random }: RetryWait,
): number | undefined {
  if (retries >= policy.maxRetries || (retryAfterMs ?? 0) > policy.maxRetryAfterMs) {
    return undefined;
  }
  const full = Math.min(policy.baseMs * 2 ** retries, policy.maxMs);
  const backOff = full * (0.5 + random() / 2);
  const waitMs =
    retryAfterMs === undefined ? backOff : Math.max(backOff, retryAfterMs * (1 + random() / 8));
  return elapsedMs + waitMs > (policy.maxElapsedMs ?? Number.POSITIVE_INFINITY)
    ? undefined
    : waitMs;
}

/** Reads a Retry-After header: seconds or a date. https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3 */
export function parseRetryAfter(text: string | null, now: number = Date.now()): number | undefined {
  if (text === null) {
    return undefined;
  }
  if (/^\d{1,9}$/.test(text.trim())) {
    return Number(text) * 1000;
  }
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
