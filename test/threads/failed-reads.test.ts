import { expect, test } from "bun:test";
import { FailedReads } from "../../src/threads/failed-reads.ts";
import type { ReadMiss } from "../../src/threads/fuse-messages.ts";

function miss(more: Partial<ReadMiss>): ReadMiss {
  const read = { fd: 1, unique: 2n, layer: 1, entry: 5, offset: 4096, size: 8192 };
  return { kind: "miss", ...read, ...more };
}

test.each([
  { title: "the same read", read: miss({}), is: true },
  { title: "a page of it", read: miss({ offset: 8192, size: 4096 }), is: true },
  { title: "what begins before it", read: miss({ offset: 0, size: 4097 }), is: true },
  { title: "what ends where it begins", read: miss({ offset: 0, size: 4096 }), is: false },
  { title: "what begins where it ends", read: miss({ offset: 12_288 }), is: false },
  { title: "another file", read: miss({ entry: 6 }), is: false },
  { title: "another layer", read: miss({ layer: 2 }), is: false },
])("FailedReads.has() is $is for $title", ({ read, is }) => {
  const failed = new FailedReads();
  failed.add(miss({}));
  expect(failed.has(read)).toBe(is);
});

test("FailedReads forgets when the kernel would have asked again", () => {
  let now = 0;
  const failed = new FailedReads({ now: () => now });
  failed.add(miss({}));
  now = 19;
  expect(failed.has(miss({}))).toBe(true);
  now = 21;
  expect(failed.has(miss({}))).toBe(false);
});
