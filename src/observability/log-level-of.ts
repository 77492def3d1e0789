import type { LogLevel } from "./log.ts";

// As logrus, and so the Go snapshotter, names them.
const LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ["trace", "debug"],
  ["debug", "debug"],
  ["info", "info"],
  ["warn", "warn"],
  ["warning", "warn"],
  ["error", "error"],
  ["fatal", "error"],
  ["panic", "error"],
]);

/** Our level for a name of the Go snapshotter's, in any case; `undefined` for any other text. */
export function logLevelOf(name: string): LogLevel | undefined {
  return LEVELS.get(name.toLowerCase());
}
