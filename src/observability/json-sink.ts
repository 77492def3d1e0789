import { errorText } from "./error-text.ts";
import { logValueOf } from "./log-value.ts";
import type { LogSink } from "./log.ts";
import { plainWords } from "./plain-words.ts";

const RESERVED = new Set(["time", "level", "msg"]);
/** Fields that hold sentences, which may quote a registry, and addresses, of its token service also. */
const QUOTES = new Set(["error", "reason", "detail", "url"]);

/**
 * One JSON object a line: `time` (RFC 3339, nine digits of a second), `level`, `msg`, then the
 * fields. A field named so gets a `_` before it. An error in the field `error` is a text, as tools
 * that read the Go snapshotter's log expect. What may quote a registry is in plainWords().
 */
export function jsonSink(write: (line: string) => void): LogSink {
  return ({ time, level, message, fields }) => {
    const rest = Object.entries(fields).map(([key, value]) => [
      RESERVED.has(key) ? `_${key}` : key,
      QUOTES.has(key) ? quoteOf(value) : logValueOf(value),
    ]);
    const record = {
      time: time.toISOString().replace("Z", "000000Z"),
      level,
      msg: message,
      ...Object.fromEntries(rest),
    };
    write(`${JSON.stringify(record)}\n`);
  };
}

function quoteOf(value: unknown): unknown {
  if (value instanceof Error) return plainWords(errorText(value));
  return typeof value === "string" ? plainWords(value) : logValueOf(value);
}
