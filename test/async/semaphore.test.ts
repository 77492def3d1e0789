import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Semaphore } from "../../src/async/semaphore.ts";

describe("Semaphore", () => {
  test("lets no more than its permits run at once", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 20 }),
        async (permits, turns) => {
          const semaphore = new Semaphore(permits);
          let running = 0;
          let most = 0;
          await Promise.all(
            turns.map((count) =>
              semaphore.run(async () => {
                running += 1;
                most = Math.max(most, running);
                for (let turn = 0; turn < count; turn++) {
                  await Promise.resolve();
                }
                running -= 1;
              }),
            ),
          );
          expect(most).toBeLessThanOrEqual(permits);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("serves in the order of asking", async () => {
    const semaphore = new Semaphore(1);
    const order: number[] = [];
    const held = await semaphore.acquire();
    const all = [1, 2, 3].map((number) => semaphore.run(async () => void order.push(number)));
    held[Symbol.dispose]();
    await Promise.all(all);
    expect(order).toEqual([1, 2, 3]);
  });

  test("gives a permit back once, however often it is disposed", async () => {
    const semaphore = new Semaphore(1);
    const first = await semaphore.acquire();
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    using _second = await semaphore.acquire();
    const third = semaphore.acquire({ signal: AbortSignal.timeout(10) });
    await expect(third).rejects.toMatchObject({ name: "TimeoutError" });
  });

  test("gives the permit back when the work throws", async () => {
    const semaphore = new Semaphore(1);
    await expect(semaphore.run(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await semaphore.run(async () => "yes")).toBe("yes");
  });

  test("passes a permit by one who has stopped waiting", async () => {
    const semaphore = new Semaphore(1);
    const held = await semaphore.acquire();
    const controller = new AbortController();
    const reason = new Error("gone");
    const gone = semaphore.acquire({ signal: controller.signal });
    const patient = semaphore.run(async () => "served");
    controller.abort(reason);
    await expect(gone).rejects.toBe(reason);
    held[Symbol.dispose]();
    expect(await patient).toBe("served");
  });

  test("throws the reason of a signal that has aborted before", async () => {
    const reason = new Error("before");
    const acquiring = new Semaphore(1).acquire({ signal: AbortSignal.abort(reason) });
    await expect(acquiring).rejects.toBe(reason);
  });

  test.each([{ permits: 0 }, { permits: -1 }, { permits: 1.5 }, { permits: Number.NaN }])(
    "refuses $permits permits",
    ({ permits }) => {
      expect(() => new Semaphore(permits)).toThrow(RangeError);
    },
  );
});
