/** When a request was sent and when the last byte of its answer came, by one clock. */
export interface RequestInterval {
  readonly startMs: number;
  readonly endMs: number;
}

/** The most requests that came one after another: the longest chain in which each begins when the one before has ended. */
export function countRounds(intervals: readonly RequestInterval[]): number {
  let rounds = 0;
  let lastEnd = Number.NEGATIVE_INFINITY;
  for (const { startMs, endMs } of intervals.toSorted((a, b) => a.endMs - b.endMs)) {
    if (startMs < lastEnd) continue;
    rounds += 1;
    lastEnd = endMs;
  }
  return rounds;
}
