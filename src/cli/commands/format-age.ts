const UNITS: readonly (readonly [number, string])[] = [
  [86_400 * 365, "year"],
  [86_400 * 30, "month"],
  [86_400, "day"],
  [3600, "hour"],
  [60, "minute"],
];

/** How long ago a time was, for people: `3 days ago`. Times are in milliseconds since 1970; 0 is no time. */
export function formatAge(then: number, now: number): string {
  if (then === 0) return "-";
  const seconds = (now - then) / 1000;
  for (const [size, name] of UNITS) {
    const count = Math.floor(seconds / size);
    if (count >= 1) return `${count} ${name}${count === 1 ? "" : "s"} ago`;
  }
  return seconds < 0 ? "in the future" : "just now";
}
