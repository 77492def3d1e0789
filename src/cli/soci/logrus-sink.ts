import { errorText } from "../../observability/error-text.ts";
import type { LogSink } from "../../observability/log.ts";

/** Lines as the Go tool logs them: `time="…" level=warning msg="…"`. */
export function logrusSink(write: (line: string) => void): LogSink {
  return ({ time, level, message, fields }) => {
    const name = level === "warn" ? "warning" : level;
    const shown = Object.entries(fields).map(([key, value]) => ` ${key}=${valueText(value)}`);
    const stamp = time.toISOString().replace(/\.\d+Z$/, "Z");
    write(`time="${stamp}" level=${name} msg=${JSON.stringify(message)}${shown.join("")}\n`);
  };
}

const PLAIN = /^[A-Za-z0-9._/@^+-]+$/;

function valueText(value: unknown): string {
  const text =
    value instanceof Error
      ? errorText(value)
      : typeof value === "string"
        ? value
        : (JSON.stringify(value) ?? String(value));
  return PLAIN.test(text) ? text : JSON.stringify(text);
}
