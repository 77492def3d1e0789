import { describe, expect, test } from "bun:test";
import { ByteBudget } from "../../src/image/byte-budget.ts";

describe("ByteBudget", () => {
  test("lets things wait that do not fit, in their order", async () => {
    const budget = new ByteBudget(100);
    const order: string[] = [];
    const first = await budget.acquire(60);
    const second = budget.acquire(60).then((held) => {
      order.push("second");
      return held;
    });
    const third = budget.acquire(10).then((held) => {
      order.push("third");
      return held;
    });
    await Bun.sleep(1);
    expect(order).toEqual([]);
    first[Symbol.dispose]();
    (await second)[Symbol.dispose]();
    (await third)[Symbol.dispose]();
    expect(order).toEqual(["second", "third"]);
  });

  test("lets one thing pass alone that is larger than all there is", async () => {
    const budget = new ByteBudget(10);
    using _large = await budget.acquire(1000);
    const next = budget.acquire(1);
    expect(await Promise.race([next, Bun.sleep(1).then(() => "waits")])).toBe("waits");
  });

  test("gives back once what is disposed of twice", async () => {
    const budget = new ByteBudget(10);
    const held = await budget.acquire(10);
    held[Symbol.dispose]();
    held[Symbol.dispose]();
    using _again = await budget.acquire(10);
    const next = budget.acquire(1);
    expect(await Promise.race([next, Bun.sleep(1).then(() => "waits")])).toBe("waits");
  });

  test("lets those behind an aborted one pass", async () => {
    const budget = new ByteBudget(10);
    using _held = await budget.acquire(5);
    const stop = new AbortController();
    const large = budget.acquire(10, { signal: stop.signal });
    const small = budget.acquire(5);
    const reason = new Error("enough");
    stop.abort(reason);
    await expect(large).rejects.toBe(reason);
    using _small = await small;
  });
});
