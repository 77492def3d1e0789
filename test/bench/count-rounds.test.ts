import { expect, test } from "bun:test";
import { countRounds } from "./count-rounds.ts";

function interval(startMs: number, endMs: number) {
  return { startMs, endMs };
}

test.each([
  { title: "nothing as no round", intervals: [], rounds: 0 },
  {
    title: "requests at once as one round",
    intervals: [interval(0, 50), interval(1, 60), interval(2, 40)],
    rounds: 1,
  },
  {
    title: "requests one after another, in whatever order they are given",
    intervals: [interval(100, 150), interval(0, 50), interval(50, 100)],
    rounds: 3,
  },
  {
    title: "a chain beside a long request",
    intervals: [interval(0, 200), interval(0, 50), interval(60, 110)],
    rounds: 2,
  },
])("countRounds() counts $title", ({ intervals, rounds }) => {
  expect(countRounds(intervals)).toBe(rounds);
});
