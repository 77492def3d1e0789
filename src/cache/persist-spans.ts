import { fdatasync } from "node:fs";
import { promisify } from "node:util";
import { recordUnlock } from "../sys/record-lock.ts";
import { acquireRecordLock } from "./acquire-record-lock.ts";
import { crcRangeOf, durableMapPlaces } from "./durable-map.ts";
import { MAP_LOCK } from "./layer-locks.ts";
import type { LiveMap } from "./live-map.ts";
import { PRESENT } from "./live-map.ts";
import { writeAllAt } from "./new-file.ts";

const syncData = promisify(fdatasync);

export interface PersistOptions {
  readonly live: LiveMap;
  readonly dataFd: number;
  readonly mapFd: number;
  readonly lockFd: number;
  /** In ascending order. */
  readonly spans: readonly number[];
}

/**
 * Brings the durable map in line with the live one for these spans: their data is on disk before the
 * map says so, and the map is on disk when this returns. A span that is emptied meanwhile is never
 * left as present; what it says of one that is filled meanwhile is for who filled it.
 */
export async function persistSpans({
  live,
  dataFd,
  mapFd,
  lockFd,
  spans,
}: PersistOptions): Promise<void> {
  const before = spans.map((span) => Atomics.load(live.words, span));
  if (before.some((word) => (word & PRESENT) !== 0)) await syncData(dataFd);
  await acquireRecordLock(lockFd, MAP_LOCK, "exclusive");
  try {
    // Who empties a span says so in the live map first and in the durable one under this lock.
    const now = spans.map((span) => Atomics.load(live.words, span));
    const isPresent = (i: number): boolean => ((now[i] ?? 0) & PRESENT) !== 0;
    const settled = [...spans.keys()].filter((i) => !isPresent(i) || now[i] === before[i]);
    writeSpans(
      live,
      mapFd,
      settled.map((i) => spans[i] ?? 0),
      settled.map(isPresent),
    );
  } finally {
    recordUnlock(lockFd, MAP_LOCK);
  }
  await syncData(mapFd);
}

function writeSpans(
  live: LiveMap,
  mapFd: number,
  spans: readonly number[],
  isSafe: readonly boolean[],
): void {
  const { geometry } = live;
  const places = durableMapPlaces(geometry);
  for (let i = 0; i < spans.length;) {
    const end = endOfRun(spans, i);
    const first = spans[i] ?? 0;
    const last = spans[end - 1] ?? 0;
    const start = crcRangeOf(geometry, first).start;
    const crcs = live.crcs.subarray(start, crcRangeOf(geometry, last).end);
    const bytes = new Uint8Array(crcs.buffer, crcs.byteOffset, crcs.byteLength);
    // Memory that others write to: a copy is what is written.
    writeAllAt(mapFd, bytes.slice(), places.crcs + 4 * start);
    const presence = Uint8Array.from(isSafe.slice(i, end), (safe) => (safe ? 1 : 0));
    writeAllAt(mapFd, presence, places.presence + first);
    i = end;
  }
}

/** Where the numbers that follow on one another end. */
function endOfRun(spans: readonly number[], start: number): number {
  let end = start + 1;
  while (end < spans.length && spans[end] === (spans[end - 1] ?? 0) + 1) end++;
  return end;
}
