import { describe, expect, test } from "bun:test";
import { FetchBudget } from "../../src/fetch/fetch-budget.ts";

interface Line {
  /** Bytes a millisecond, of the whole line and of one answer. */
  readonly rate: number;
  readonly ratePerAnswer?: number;
  readonly latencyMs: number;
}

const MB = 1_000_000;
const RANGE = 1.5 * MB;

/** A background fill over a made-up line, by a made-up clock. */
class Filling {
  readonly budget = new FetchBudget();
  now = 1;
  most = 0;
  readonly #line: Line;
  readonly #answers: { readonly startsAt: number; left: number; hasBegun: boolean }[] = [];

  constructor(line: Line) {
    this.#line = line;
  }

  /** Goes on for so many milliseconds; returns the bytes that came. */
  run(ms: number): number {
    let bytes = 0;
    this.most = 0;
    for (const end = this.now + ms; this.now < end; this.now++) bytes += this.#tick();
    return bytes;
  }

  #tick(): number {
    const { budget, now } = this;
    const { rate, ratePerAnswer = rate, latencyMs } = this.#line;
    while (budget.hasRoom(now)) {
      budget.requested(RANGE);
      this.#answers.push({ startsAt: now + latencyMs, left: RANGE, hasBegun: false });
    }
    this.most = Math.max(this.most, budget.outstanding);
    const open = this.#answers.filter(({ startsAt }) => startsAt <= now);
    let bytes = 0;
    for (const answer of open) {
      const count = Math.min(answer.left, ratePerAnswer, rate / open.length);
      if (!answer.hasBegun) {
        budget.answered(latencyMs, now);
        budget.began(now);
        answer.hasBegun = true;
      }
      budget.received(count, now);
      answer.left -= count;
      bytes += count;
      if (answer.left > 0) continue;
      budget.ended();
      this.#answers.splice(this.#answers.indexOf(answer), 1);
    }
    return bytes;
  }
}

describe("FetchBudget", () => {
  test.each([
    { title: "1 Gbit/s, 50 ms", rate: 125_000, latencyMs: 50 },
    { title: "1 Gbit/s, 1 ms", rate: 125_000, latencyMs: 1 },
    { title: "100 Mbit/s, 20 ms", rate: 12_500, latencyMs: 20 },
    { title: "10 Mbit/s, 100 ms", rate: 1250, latencyMs: 100 },
    { title: "1 Gbit/s, 150 ms", rate: 125_000, latencyMs: 150 },
  ])("keeps a line of $title busy", ({ rate, latencyMs }) => {
    const ms = 10_000;
    const bytes = new Filling({ rate, latencyMs }).run(ms);
    expect(bytes / (rate * (ms - latencyMs))).toBeGreaterThan(0.9);
  });

  test("has little more outstanding than the line holds", () => {
    const line = { rate: 12_500, latencyMs: 40 };
    const filling = new Filling(line);
    filling.run(10_000);
    filling.run(1000);
    expect(filling.most).toBeLessThan(2 * line.rate * line.latencyMs + 2 * RANGE);
  });

  test("has less outstanding while there is demand", () => {
    const filling = new Filling({ rate: 125_000, latencyMs: 50 });
    filling.run(1000);
    const { budget } = filling;
    const before = budget.limit(1000);
    budget.demanded(1000);
    expect(budget.limit(1001)).toBeLessThan(before);
    expect(budget.limit(3000)).toBe(before);
  });

  test("asks for more at once where one answer cannot have all of the line", () => {
    const line = { rate: 125_000, ratePerAnswer: 10_000, latencyMs: 50 };
    const filling = new Filling(line);
    filling.run(20_000);
    expect(filling.run(5000) / 5000).toBeGreaterThan(6 * line.ratePerAnswer);
  });

  test("does not grow where the line is full", () => {
    const line = { rate: 50_000, latencyMs: 50 };
    const filling = new Filling(line);
    filling.run(60_000);
    expect(filling.budget.limit(100_000)).toBeLessThan(2 * 1.25 * line.rate * line.latencyMs);
  });

  test("never lets more out than 24 MiB and a range", () => {
    const filling = new Filling({ rate: 1_250_000, latencyMs: 200 });
    filling.run(5000);
    expect(filling.most).toBeLessThanOrEqual(24 * 1024 * 1024 + RANGE);
  });

  test("counts what is cancelled as not to come", () => {
    const budget = new FetchBudget();
    budget.requested(1000);
    budget.received(300, 1);
    budget.cancelled(700);
    expect(budget.outstanding).toBe(0);
  });
});
