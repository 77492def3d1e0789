import { expect, test } from "bun:test";
import { compareSides, peakRssOf } from "./compare-sides.ts";
import { runByTurns, type Side } from "./run-by-turns.ts";

function fakeSide(label: string, wallSeconds: readonly number[], calls: string[] = []): Side {
  return {
    label,
    includes: "",
    measure: async (run) => {
      calls.push(`${label}${run}`);
      return { wallSeconds: wallSeconds.at(run) ?? 0, cpuSeconds: 1, maxRssBytes: run * 10 };
    },
  };
}

test("runByTurns() alternates the sides, each warmed up first", async () => {
  const calls: string[] = [];
  await runByTurns([fakeSide("a", [1], calls), fakeSide("b", [1], calls)], { runs: 2 });
  expect(calls).toEqual(["a-1", "b-1", "a0", "b0", "a1", "b1"]);
});

test("runByTurns() does not count the warm-up", async () => {
  const [side] = await runByTurns([fakeSide("a", [1, 2, 99])], { runs: 2 });
  expect(side?.samples.map(({ wallSeconds }) => wallSeconds)).toEqual([1, 2]);
});

test("compareSides() divides the baseline's median by ours", async () => {
  const sides = await runByTurns([fakeSide("a", [1, 2, 3]), fakeSide("b", [8, 9, 4])], { runs: 3 });
  expect(compareSides(sides, { ours: "a", baseline: "b" })).toMatchObject({ value: 4, unit: "x" });
});

test("peakRssOf() is the most of all runs", async () => {
  const sides = await runByTurns([fakeSide("a", [1, 2, 3])], { runs: 3 });
  expect(peakRssOf(sides, "a")).toBe(20);
});
