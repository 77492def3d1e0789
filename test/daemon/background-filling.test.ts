import { describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { BackgroundFilling } from "../../src/daemon/background-filling.ts";
import { SociError } from "../../src/errors.ts";
import type { FillEnd } from "../../src/fetch/background-fill.ts";
import type { SpanScheduler } from "../../src/fetch/span-scheduler.ts";
import { createLogger } from "../../src/observability/log.ts";

function setup(retryMs = 1) {
  /** Of each fill() of the scheduler, in order. */
  const fills: { readonly layer: number; readonly end: PromiseWithResolvers<FillEnd> }[] = [];
  const logged: string[] = [];
  const scheduler = {
    fill: (layer: number) => {
      const end = Promise.withResolvers<FillEnd>();
      fills.push({ layer, end });
      return { done: end.promise };
    },
  };
  const filling = new BackgroundFilling({
    scheduler: scheduler as unknown as SpanScheduler,
    log: createLogger({ sink: ({ message }) => logged.push(message) }),
    retryMs,
  });
  return { fills, logged, filling };
}

const DOWN = new SociError("unavailable", "registry is down");

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setImmediate();
}

describe("BackgroundFilling", () => {
  test("fills a layer once, however often it is started", async () => {
    const { fills, filling } = setup();
    filling.start(1);
    filling.start(1);
    filling.start(2);
    expect(fills.map(({ layer }) => layer)).toEqual([1, 2]);
    expect(filling.count).toBe(2);
    fills[0]?.end.resolve("complete");
    await until(() => filling.count === 1);
    filling.start(1);
    expect(fills).toHaveLength(3);
    filling[Symbol.dispose]();
  });

  test("tries a layer again whose source failed", async () => {
    const { fills, logged, filling } = setup();
    filling.start(1);
    fills[0]?.end.reject(DOWN);
    await until(() => fills.length === 2);
    expect(logged).toHaveLength(1);
    fills[1]?.end.resolve("complete");
    await until(() => filling.count === 0);
    expect(fills).toHaveLength(2);
  });

  test("leaves a layer alone that finds no room", async () => {
    const { fills, logged, filling } = setup();
    filling.start(1);
    fills[0]?.end.resolve("no-room");
    await until(() => filling.count === 0);
    expect(fills).toHaveLength(1);
    expect(logged).toEqual(["cache is full: the rest of a layer is left out"]);
  });

  test("stop() ends the wait for another try", async () => {
    const { fills, filling } = setup(3_600_000);
    filling.start(1);
    fills[0]?.end.reject(DOWN);
    await setImmediate();
    filling.stop(1);
    expect(filling.count).toBe(0);
    await setImmediate();
    expect(fills).toHaveLength(1);
  });

  test("a failure behind stop() is nothing to speak of", async () => {
    const { fills, logged, filling } = setup();
    filling.start(1);
    filling.stop(1);
    fills[0]?.end.reject(DOWN);
    await setImmediate();
    expect(logged).toEqual([]);
    expect(fills).toHaveLength(1);
  });

  test("a layer that is started again while it is stopped is filled again", async () => {
    const { fills, filling } = setup();
    filling.start(1);
    filling.stop(1);
    filling.start(1);
    fills[0]?.end.resolve("stopped");
    await setImmediate();
    expect(fills).toHaveLength(2);
    expect(filling.count).toBe(1);
    fills[1]?.end.resolve("complete");
    await until(() => filling.count === 0);
  });

  test("disposed of it stops all, and starts none", async () => {
    const { fills, filling } = setup();
    filling.start(1);
    filling[Symbol.dispose]();
    filling.start(2);
    expect(filling.count).toBe(0);
    fills[0]?.end.reject(DOWN);
    await Bun.sleep(5);
    expect(fills).toHaveLength(1);
  });
});
