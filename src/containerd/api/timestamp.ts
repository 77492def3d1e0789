import { field, message } from "./protobuf.ts";

/** google.protobuf.Timestamp: since 1970, in UTC. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanos: number;
}

export const TIMESTAMP = message<Timestamp>("Timestamp", {
  seconds: field.int64(1),
  nanos: field.int32(2),
});

/** The time that a clock of milliseconds shows, as of Date.now(). */
export function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1_000_000) };
}

/** As Date.now(): the nanoseconds below are lost. */
export function timestampMs({ seconds, nanos }: Timestamp): number {
  return seconds * 1000 + Math.floor(nanos / 1_000_000);
}

/** RFC 3339 in UTC with the nanoseconds that are not 0, as Go prints it. */
export function formatTimestamp({ seconds, nanos }: Timestamp): string {
  const whole = new Date(seconds * 1000).toISOString().slice(0, -".000Z".length);
  const fraction = String(nanos).padStart(9, "0").replace(/0+$/, "");
  return `${whole}${fraction === "" ? "" : `.${fraction}`}Z`;
}
