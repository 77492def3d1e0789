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

test("RepeatGate forgets what was said longest ago, so that it does not grow with what there is", () => {
  const gate = new RepeatGate({ now: () => 0 });
  const lets = (what: string, times: number): number =>
    Array.from({ length: times }, () => gate.lets(what)).filter(Boolean).length;
  expect(lets("a", 11)).toBe(10);
  for (let other = 0; other < 1023; other += 1) gate.lets(`other ${other}`);
  expect(lets("a", 1)).toBe(0);
  gate.lets("one more");
  expect(lets("a", 11)).toBe(10);
});
