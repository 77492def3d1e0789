import { describe, expect, test } from "bun:test";
import { SpinGauge } from "../../src/fuse/spin-gauge.ts";

function tries(gauge: SpinGauge, waits: number, found: boolean): number {
  let count = 0;
  for (let i = 0; i < waits; i++) {
    if (!gauge.isWorthIt()) continue;
    count += 1;
    gauge.record(found);
  }
  return count;
}

describe("SpinGauge", () => {
  test("tries at every wait while requests come soon", () => {
    expect(tries(new SpinGauge(), 1000, true)).toBe(1000);
  });

  test("tries rarely when they do not, and again at once when one did", () => {
    const gauge = new SpinGauge();
    expect(tries(gauge, 4, false)).toBe(4);
    expect(tries(gauge, 1700, false)).toBe(100);
    tries(gauge, 17, true);
    expect(tries(gauge, 100, true)).toBe(100);
  });
});
