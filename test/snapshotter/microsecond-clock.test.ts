import { expect, test } from "bun:test";
import { MicrosecondClock } from "../../src/snapshotter/microsecond-clock.ts";

test("MicrosecondClock says parts of a millisecond", () => {
  let steady = 1000.25;
  const clock = new MicrosecondClock({ wall: () => Math.floor(steady), steady: () => steady });
  const first = clock.now();
  steady += 0.3;
  expect([first, clock.now()]).toEqual([1_000_250, 1_000_550]);
});

test("MicrosecondClock goes with the clock on the wall when that is set forward", () => {
  let wall = 1000;
  const clock = new MicrosecondClock({ wall: () => wall, steady: () => 1000.5 });
  clock.now();
  wall = 5000;
  expect(clock.now()).toBe(5_000_000);
});

test("MicrosecondClock never goes back", () => {
  let wall = 5000;
  const clock = new MicrosecondClock({ wall: () => wall, steady: () => 5000.5 });
  const first = clock.now();
  wall = 1000;
  expect([clock.now() - first, clock.now() - first]).toEqual([1, 2]);
});

test("MicrosecondClock agrees with Date", () => {
  const clock = new MicrosecondClock();
  for (let round = 0; round < 1000; round += 1) {
    const before = Date.now();
    const now = clock.now();
    expect(now).toBeGreaterThanOrEqual(before * 1000);
    expect(now).toBeLessThan((Date.now() + 1) * 1000 + round);
  }
});
