import { describe, expect, test } from "bun:test";
import { SingleFlight } from "../../src/async/single-flight.ts";

describe("SingleFlight.run()", () => {
  test("runs the work once for all who ask meanwhile", async () => {
    const flights = new SingleFlight<string, number>();
    let runs = 0;
    const work = async (): Promise<number> => {
      runs += 1;
      await Promise.resolve();
      return runs;
    };
    expect(await Promise.all([flights.run("a", work), flights.run("a", work)])).toEqual([1, 1]);
  });

  test("keeps keys apart", async () => {
    const flights = new SingleFlight<string, string>();
    const ask = (key: string) => flights.run(key, async () => key);
    expect(await Promise.all([ask("a"), ask("b")])).toEqual(["a", "b"]);
  });

  test("remembers nothing once the work has settled", async () => {
    const flights = new SingleFlight<string, number>();
    await expect(flights.run("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await flights.run("a", async () => 2)).toBe(2);
  });

  test("gives a failure to all who wait", async () => {
    const flights = new SingleFlight<string, number>();
    const reason = new Error("no");
    const outcomes = await Promise.allSettled(
      [1, 2].map(() => flights.run("a", () => Promise.reject(reason))),
    );
    expect(
      outcomes.map((outcome) => outcome.status === "rejected" && outcome.reason === reason),
    ).toEqual([true, true]);
  });

  test("goes on for the others when one leaves", async () => {
    const flights = new SingleFlight<string, string>();
    const { promise, resolve } = Promise.withResolvers<string>();
    const controller = new AbortController();
    let aborted = false;
    const work = (signal: AbortSignal): Promise<string> => {
      signal.addEventListener("abort", () => {
        aborted = true;
      });
      return promise;
    };
    const leaver = flights.run("a", work, { signal: controller.signal });
    const stayer = flights.run("a", work);
    const reason = new Error("bye");
    controller.abort(reason);
    await expect(leaver).rejects.toBe(reason);
    expect(aborted).toBe(false);
    resolve("done");
    expect(await stayer).toBe("done");
  });

  test("aborts the work when the last has left, and starts anew for the next", async () => {
    const flights = new SingleFlight<string, string>();
    const controller = new AbortController();
    const { promise: aborted, resolve: onAbort } = Promise.withResolvers<unknown>();
    const forever = (signal: AbortSignal): Promise<string> =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          onAbort(signal.reason);
          reject(signal.reason);
        });
      });
    const only = flights.run("a", forever, { signal: controller.signal });
    const reason = new Error("bye");
    controller.abort(reason);
    await expect(only).rejects.toBe(reason);
    expect(await aborted).toBe(reason);
    expect(await flights.run("a", async () => "new")).toBe("new");
  });
});
