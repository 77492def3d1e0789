/** The middle of the values, or the mean of the two in the middle. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) throw new RangeError("Cannot take the median of no values");
  const lower = sorted.length % 2 === 0 ? sorted[middle - 1] : upper;
  return (upper + (lower ?? upper)) / 2;
}

export function minimumOf(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("Cannot take the minimum of no values");
  return Math.min(...values);
}

/** The value that `share` of the values (0.99: the 99th percentile) are not above. */
export function percentileOf(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError("Cannot take a percentile of no values");
  return value;
}
