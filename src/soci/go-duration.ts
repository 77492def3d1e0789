/** A duration rounded to seconds as Go's time.Duration prints it: `0s`, `1m5s`, `26h0m3s`. */
export function formatGoDuration(milliseconds: number): string {
  const sign = milliseconds <= -500 ? "-" : "";
  const total = Math.round(Math.abs(milliseconds) / 1000);
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  const seconds = total % 60;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`;
}
