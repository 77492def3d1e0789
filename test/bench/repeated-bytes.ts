import type { RecordedRequest } from "./request-recorder.ts";

/** What requests for ranges of blobs asked for. */
export interface AskedBytes {
  readonly requests: number;
  /** Of all ranges together. */
  readonly bytes: number;
  /** Of those, how many had been asked for before. */
  readonly repeated: number;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Counts the bytes of blobs that were asked for, and those asked for more than once. */
export function repeatedBytes(requests: readonly Pick<RecordedRequest, "head">[]): AskedBytes {
  const ranges = new Map<string, Range[]>();
  let count = 0;
  for (const { head } of requests) {
    const [, path] = /^GET (\S*\/blobs\/\S+) HTTP/.exec(head) ?? [];
    const [, first, last] = /^range: bytes=(\d+)-(\d+)\r?$/im.exec(head) ?? [];
    if (path === undefined || first === undefined || last === undefined) continue;
    count += 1;
    const range = { start: Number(first), end: Number(last) + 1 };
    ranges.set(path, [...(ranges.get(path) ?? []), range]);
  }
  const all = [...ranges.values()];
  const bytes = all.flat().reduce((sum, { start, end }) => sum + end - start, 0);
  const distinct = all.reduce((sum, list) => sum + lengthOfUnion(list), 0);
  return { requests: count, bytes, repeated: bytes - distinct };
}

function lengthOfUnion(ranges: readonly Range[]): number {
  let length = 0;
  let covered = 0;
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    length += Math.max(0, end - Math.max(start, covered));
    covered = Math.max(covered, end);
  }
  return length;
}
