export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** error: someone must act; warn: degraded but served; info: life cycle; debug: the rest. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** `fatal`: the process ends because of it; written by whoever ends it, past every logger. */
export type RecordLevel = LogLevel | "fatal";

export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log: constant messages, the rest in fields. Never throws; never given secrets. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every record. */
  child(fields: LogFields): Logger;
}

export interface LogRecord {
  readonly time: Date;
  readonly level: RecordLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** Takes records away, in order. */
export type LogSink = (record: LogRecord) => void;

export interface LoggerOptions {
  readonly sink: LogSink;
  /** The lowest level that is written. */
  readonly level?: LogLevel;
  readonly now?: () => Date;
}

/** A logger that hands every record of `level` or above to `sink`. */
export function createLogger({
  sink,
  level = "info",
  now = () => new Date(),
}: LoggerOptions): Logger {
  const threshold = LOG_LEVELS.indexOf(level);
  const at = (base: LogFields): Logger => {
    const write =
      (recordLevel: LogLevel) =>
      (message: string, fields: LogFields = {}): void => {
        if (LOG_LEVELS.indexOf(recordLevel) >= threshold) {
          sink({ time: now(), level: recordLevel, message, fields: { ...base, ...fields } });
        }
      };
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      child: (fields) => at({ ...base, ...fields }),
    };
  };
  return at({});
}

/** Drops everything. */
export const NO_LOG: Logger = createLogger({ sink: () => undefined, level: "error" });
