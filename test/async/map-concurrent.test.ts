import { describe, expect, test } from "bun:test";
import { delay } from "../../src/async/delay.ts";
import { mapConcurrent } from "../../src/async/map-concurrent.ts";

describe("mapConcurrent()", () => {
  test("keeps the order of the items", async () => {
    const wait = async (ms: number): Promise<number> => {
      await delay(ms);
      return ms;
    };
    expect(await mapConcurrent([9, 1, 5], wait, { limit: 3 })).toEqual([9, 1, 5]);
  });

  test("runs no more than the limit at once", async () => {
    let running = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await delay(1);
      running -= 1;
    };
    await mapConcurrent([1, 2, 3, 4, 5], work, { limit: 2 });
    expect(most).toBe(2);
  });

  test("throws the first failure after the others have been aborted and have ended", async () => {
    const ended: number[] = [];
    const reason = new Error("two");
    const work = async (item: number, signal: AbortSignal): Promise<void> => {
      if (item === 2) {
        throw reason;
      }
      try {
        await delay(60_000, { signal });
      } finally {
        ended.push(item);
      }
    };
    await expect(mapConcurrent([1, 2, 3], work, { limit: 2 })).rejects.toBe(reason);
    expect(ended).toEqual([1]);
  });

  test("throws the signal's reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 5);
    const work = (_: number, signal: AbortSignal): Promise<void> => delay(60_000, { signal });
    const mapping = mapConcurrent([1, 2], work, { limit: 1, signal: controller.signal });
    await expect(mapping).rejects.toBe(reason);
  });

  test("maps nothing to nothing", async () => {
    expect(await mapConcurrent([], async () => 1, { limit: 4 })).toEqual([]);
  });

  test("refuses a limit of 0", async () => {
    await expect(mapConcurrent([1], async () => 1, { limit: 0 })).rejects.toThrow(RangeError);
  });
});
