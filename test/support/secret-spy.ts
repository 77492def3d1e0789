import { jsonSink } from "../../src/observability/json-sink.ts";
import { createLogger, type Logger } from "../../src/observability/log.ts";
import { textSink } from "../../src/observability/text-sink.ts";

/** Everything that a secret may not get into, as it comes. */
export interface Spy {
  readonly log: Logger;
  /** Log lines, in both forms, and errors as the user sees them. */
  readonly texts: string[];
}

/** What every secret of a test holds: found as it is and in base64 (three ways, by where it begins). */
export const MARK = "s3cr3t-m4rk";
const TRACES = [0, 1, 2].map((shift) =>
  Buffer.from("x".repeat(shift) + MARK)
    .toString("base64")
    .slice(shift === 0 ? 0 : 4, -4),
);

/** Whether a text has a secret of a test in it. */
export function holdsSecret(text: string): boolean {
  return text.includes(MARK) || TRACES.some((trace) => text.includes(trace));
}

/** A logger of everything, and what it has written. */
export function spy(): Spy {
  const texts: string[] = [];
  const write = (line: string): void => {
    texts.push(line);
  };
  const sinks = [textSink(write), jsonSink(write)];
  const log = createLogger({
    level: "debug",
    sink: (record) => {
      for (const sink of sinks) sink(record);
    },
  });
  return { log, texts };
}
