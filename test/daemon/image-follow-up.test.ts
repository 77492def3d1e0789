import { describe, expect, jest, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import type { BackgroundFilling } from "../../src/daemon/background-filling.ts";
import { ImageFollowUp } from "../../src/daemon/image-follow-up.ts";
import type { ImageSession } from "../../src/daemon/image-sessions.ts";
import type { SpanScheduler } from "../../src/fetch/span-scheduler.ts";
import { createLogger } from "../../src/observability/log.ts";
import { NAME } from "./fake-preparations.ts";
import {
  BOTTOM,
  type LazySetup,
  lazySetup,
  servedOf,
  STACK,
  stackedSetup,
  TOP,
} from "./lazy-setup.ts";

const CHAIN = [BOTTOM.digest, TOP.digest];

interface Followed extends AsyncDisposable {
  readonly setup: LazySetup;
  readonly session: ImageSession;
  readonly followUp: ImageFollowUp;
  /** `ahead <layers>`, `want <layer> <start>-<end>`, `fill <layer>`; layers are 1 and 2. */
  readonly events: string[];
  readonly logged: string[];
}

async function followed(setup: LazySetup, { prefetches = true } = {}): Promise<Followed> {
  const [events, logged]: [string[], string[]] = [[], []];
  const scheduler = {
    want: async (layer: number, start: number, end: number, { priority }: { priority: string }) => {
      events.push(`${priority} ${layer} ${start}-${end}`);
      throw new Error("registry is down");
    },
  };
  const filling = { start: (layer: number) => void events.push(`fill ${layer}`) };
  const followUp = new ImageFollowUp({
    stock: setup.stock,
    scheduler: scheduler as unknown as SpanScheduler,
    filling: filling as unknown as BackgroundFilling,
    prefetches,
    showAhead: (layers) => void events.push(`ahead ${layers.length}`),
    log: createLogger({ sink: ({ message }) => logged.push(message) }),
  });
  const session = await setup.sessions.use(NAME, async (one) => one);
  return {
    setup,
    session,
    followUp,
    events,
    logged,
    [Symbol.asyncDispose]: async () => {
      followUp[Symbol.dispose]();
      await setup[Symbol.asyncDispose]();
    },
  };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setImmediate();
}

describe("ImageFollowUp", () => {
  test("shows the stack, fetches what the index names, then fills from the top", async () => {
    await using all = await followed(await stackedSetup());
    const { setup, session, followUp, events } = all;
    const { geometry } = (await setup.stock.get(TOP.digest)).layer;
    setup.preparations.prefetched = [
      {
        layer: TOP.digest,
        ranges: [
          { start: 0, end: 1 },
          { start: 1, end: 2 },
        ],
      },
    ];
    for (const layer of STACK) followUp.answered(session, CHAIN, layer);
    await until(() => events.length === 5);
    const end = geometry.uncompressedEnd(0);
    expect(events).toEqual([
      "ahead 2",
      `prefetch 2 0-${end}`,
      `prefetch 2 ${geometry.uncompressedStart(1)}-${geometry.uncompressedEnd(1)}`,
      "fill 2",
      "fill 1",
    ]);
  });

  test("fills an image of which the rest is containerd's, when nothing more is asked for", async () => {
    jest.useFakeTimers();
    try {
      await using all = await followed(await stackedSetup());
      const { session, followUp, events } = all;
      const [bottom = servedOf(BOTTOM)] = STACK;
      followUp.answered(session, CHAIN, bottom);
      jest.advanceTimersByTime(900);
      expect(events).toEqual([]);
      followUp.answered(session, CHAIN, bottom);
      jest.advanceTimersByTime(900);
      expect(events).toEqual([]);
      jest.advanceTimersByTime(200);
      jest.useRealTimers();
      await until(() => events.length > 0);
      expect(events).toEqual(["fill 1"]);
    } finally {
      jest.useRealTimers();
    }
  });

  test("fills also when what the index names cannot be had", async () => {
    await using all = await followed(await stackedSetup());
    const { setup, session, followUp, events, logged } = all;
    setup.preparations.prefetched = new Error("it has been given up");
    for (const layer of STACK) followUp.answered(session, CHAIN, layer);
    await until(() => events.length === 3);
    expect(events).toEqual(["ahead 2", "fill 2", "fill 1"]);
    expect(logged).toEqual(["spans that the index names cannot be prefetched"]);
  });

  test("asks for no artifacts when it is not to prefetch", async () => {
    await using all = await followed(await stackedSetup(), { prefetches: false });
    const { setup, session, followUp, events, logged } = all;
    setup.preparations.prefetched = new Error("nobody was to ask");
    for (const layer of STACK) followUp.answered(session, CHAIN, layer);
    await until(() => events.length === 3);
    expect(logged).toEqual([]);
  });

  test("leaves out layers that nobody holds any more, or that cannot be opened", async () => {
    await using all = await followed(await lazySetup());
    const { setup, session, followUp, events } = all;
    await setup.put(BOTTOM);
    setup.lazy.holdLayer("1", servedOf(BOTTOM));
    // It is not in the cache, and the registry is down.
    setup.lazy.holdLayer("2", servedOf(TOP));
    for (const layer of STACK) followUp.answered(session, CHAIN, layer);
    await until(() => events.includes("fill 1"));
    expect(events).toEqual(["ahead 2", "fill 1"]);
    setup.lazy.release("1");
    followUp.answered(session, CHAIN, servedOf(TOP));
    followUp.answered(session, CHAIN, servedOf(BOTTOM));
    await until(() => events.length === 3);
    await Bun.sleep(5);
    expect(events).toEqual(["ahead 2", "fill 1", "ahead 2"]);
  });

  test("disposed of it does nothing any more", async () => {
    await using all = await followed(await stackedSetup());
    const { session, followUp, events } = all;
    for (const layer of STACK) followUp.answered(session, CHAIN, layer);
    followUp[Symbol.dispose]();
    for (const layer of STACK) followUp.answered(session, CHAIN, layer);
    await Bun.sleep(5);
    expect(events).toEqual([]);
  });
});
