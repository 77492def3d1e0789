import { logValueOf } from "./log-value.ts";
import type { LogSink } from "./log.ts";

const PLAIN = /^[\w.:/@+,%~-]+$/;
// C0, DEL, C1, line separators and bidi controls: what a terminal or a pager would act on.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** One line a record: time, level, message, `key=value` fields; values with spaces or controls are quoted. */
export function textSink(write: (line: string) => void): LogSink {
  return ({ time, level, message, fields }) => {
    const rest = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => ` ${escapeControls(key)}=${formatValue(logValueOf(value))}`);
    write(`${time.toISOString()} ${level.padEnd(5)} ${escapeControls(message)}${rest.join("")}\n`);
  };
}

function formatValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return PLAIN.test(text)
    ? text
    : escapeControls(typeof value === "string" ? JSON.stringify(text) : text);
}

function escapeControls(text: string): string {
  return text.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
