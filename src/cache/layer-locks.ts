import type { RecordRange } from "../sys/record-lock.ts";

// The bytes of a layer's lock file. Record locks die with the descriptor they were taken on.

/** Shared by whoever has the layer open; taken alone by who removes it. */
export const LEASE_LOCK: RecordRange = { start: 0, end: 1 };
/** Held while data, map and live map are looked at and made. */
export const INIT_LOCK: RecordRange = { start: 1, end: 2 };
/** Held while presence is written to the durable map. */
export const MAP_LOCK: RecordRange = { start: 2, end: 3 };

const FIRST_SPAN = 16;

/** Held by who fills or empties a span, or several in a row. */
export function spanLock(span: number, endSpan = span + 1): RecordRange {
  return { start: FIRST_SPAN + span, end: FIRST_SPAN + endSpan };
}
