import { logValueOf } from "./log-value.ts";
import type { LogSink } from "./log.ts";

const RESERVED = new Set(["time", "level", "msg"]);

/** One JSON object a line: `time`, `level`, `msg`, then the fields. A field named so gets a `_` before it. */
export function jsonSink(write: (line: string) => void): LogSink {
  return ({ time, level, message, fields }) => {
    const rest = Object.entries(fields).map(([key, value]) => [
      RESERVED.has(key) ? `_${key}` : key,
      logValueOf(value),
    ]);
    const record = {
      time: time.toISOString(),
      level,
      msg: message,
      ...Object.fromEntries(rest),
    };
    write(`${JSON.stringify(record)}\n`);
  };
}
