import { describe, expect, test } from "bun:test";
import { abortable } from "../../src/async/abortable.ts";
import { delay } from "../../src/async/delay.ts";

describe("delay()", () => {
  test("waits", async () => {
    const before = performance.now();
    await delay(20);
    expect(performance.now() - before).toBeGreaterThanOrEqual(19);
  });

  test("throws the signal's reason at once", async () => {
    const reason = new Error("up");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 5);
    await expect(delay(60_000, { signal: controller.signal })).rejects.toBe(reason);
  });
});

describe("abortable()", () => {
  test("gives the promise's outcome", async () => {
    const { signal } = new AbortController();
    expect(await abortable(Promise.resolve(1), signal)).toBe(1);
  });

  test("drops the late failure of a promise that was left", async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    const reason = new Error("left");
    const left = abortable(promise, AbortSignal.abort(reason));
    await expect(left).rejects.toBe(reason);
    reject(new Error("late"));
    await Bun.sleep(1);
    expect(await Bun.peek.status(promise)).toBe("rejected");
  });
});
