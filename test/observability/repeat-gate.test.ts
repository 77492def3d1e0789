import { expect, test } from "bun:test";
import { RepeatGate } from "../../src/observability/repeat-gate.ts";

test("RepeatGate lets a text through ten times, then once a minute; others go their own way", () => {
  let now = 0;
  const gate = new RepeatGate({ now: () => now });
  const lets = (what: string, times: number): number =>
    Array.from({ length: times }, () => gate.lets(what)).filter(Boolean).length;
  expect(lets("a", 100)).toBe(10);
  expect(lets("b", 3)).toBe(3);
  now = 59_000;
  expect(lets("a", 100)).toBe(0);
  now = 60_000;
  expect(lets("a", 100)).toBe(1);
  now = 119_000;
  expect(lets("a", 100)).toBe(0);
});
