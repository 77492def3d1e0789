import { describe, expect, jest, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { SociError } from "../../src/errors.ts";
import { rejectionOf } from "../support/failure.ts";
import { readyLayer } from "./fake-preparations.ts";
import {
  BOTTOM,
  expectNothingLeft,
  lazySetup,
  requestOf,
  servedOf,
  TOP,
  until,
} from "./lazy-setup.ts";

describe("LazyLayers.prepareLayer()", () => {
  test("answers with a layer that is there, and holds it until its snapshot does", async () => {
    await using setup = await lazySetup();
    const { lazy, stock, events } = setup;
    await setup.put(TOP);
    const answer = await lazy.prepareLayer(requestOf(TOP));
    expect(answer).toEqual({
      kind: "served",
      layer: servedOf(TOP),
      isWhole: false,
      hasIndex: true,
    });
    expect(events).toEqual([`followed ${TOP.digest}`, `served ${TOP.digest}`]);
    expect(stock.holdersOf(TOP.digest)).toEqual([expect.stringMatching(/^promise-/)]);
    lazy.holdLayer("7", servedOf(TOP));
    expect(stock.holdersOf(TOP.digest)).toEqual(["7"]);
    lazy.release("7");
    await expectNothingLeft(setup);
  });

  test("keeps the promises made to others when one is kept", async () => {
    await using setup = await lazySetup();
    const { lazy, stock } = setup;
    await setup.put(TOP);
    await lazy.prepareLayer(requestOf(TOP));
    await lazy.prepareLayer({ ...requestOf(TOP), namespace: "k8s.io" });
    lazy.holdLayer("7", servedOf(TOP));
    expect(stock.holdersOf(TOP.digest)).toHaveLength(2);
    lazy.release("7");
    await lazy.settled();
    expect(setup.leases.size).toBe(1);
    lazy.holdLayer("8", servedOf(TOP));
    expect(stock.holdersOf(TOP.digest)).toEqual(["8"]);
  });

  test("lets a layer go that no snapshot comes for", async () => {
    jest.useFakeTimers();
    try {
      await using setup = await lazySetup();
      await setup.put(TOP);
      await setup.lazy.prepareLayer(requestOf(TOP));
      jest.advanceTimersByTime(59_000);
      expect(setup.stock.keys.size).toBe(1);
      jest.advanceTimersByTime(2000);
      expect(setup.stock.keys.size).toBe(0);
      // It may come all the same.
      setup.lazy.holdLayer("7", servedOf(TOP));
      expect((await setup.stock.get(TOP.digest)).layer.digest).toBe(TOP.digest);
    } finally {
      jest.useRealTimers();
    }
  });

  test("serves a layer of the cache when its image cannot be had", async () => {
    await using setup = await lazySetup();
    await setup.put(TOP);
    setup.preparations.chain = undefined;
    expect(await setup.lazy.prepareLayer(requestOf(TOP))).toMatchObject({ kind: "served" });
    expect(setup.events).toEqual([`served ${TOP.digest}`]);
  });

  test("refuses a layer that is not there in time, and closes it when it comes", async () => {
    await using setup = await lazySetup({ timeoutMs: 1 });
    await setup.put(TOP);
    const coming = Promise.withResolvers<void>();
    setup.preparations.layer = async (digest) => {
      await coming.promise;
      const layer = await setup.cache.openLayer(digest);
      if (layer === undefined) throw new Error("it is gone");
      return readyLayer(layer);
    };
    expect(await setup.lazy.prepareLayer(requestOf(TOP))).toMatchObject({
      kind: "refused",
      reason: "timeout",
      detail: expect.stringContaining(TOP.digest),
    });
    expect(setup.events).toEqual(["refused timeout"]);
    expect(setup.stock.keys.size).toBe(0);
    let closed = 0;
    const { layer } = setup.preparations;
    setup.preparations.layer = layer;
    const original = setup.cache.openLayer.bind(setup.cache);
    setup.cache.openLayer = async (...args) => {
      const opened = await original(...args);
      if (opened === undefined) return undefined;
      const close = opened[Symbol.asyncDispose].bind(opened);
      opened[Symbol.asyncDispose] = async () => {
        closed++;
        await close();
      };
      return opened;
    };
    coming.resolve();
    await until(() => closed === 1);
  });

  test("waits for a layer that is read whole, as long as it takes", async () => {
    await using setup = await lazySetup({ timeoutMs: 1 });
    await setup.put(TOP);
    const { layer } = setup.preparations;
    const coming = Promise.withResolvers<void>();
    setup.preparations.layer = async (digest) => {
      setup.preparations.stream(digest);
      await coming.promise;
      return await layer(digest);
    };
    const answer = setup.lazy.prepareLayer(requestOf(TOP));
    await Bun.sleep(20);
    coming.resolve();
    expect(await answer).toMatchObject({ kind: "served" });
  });

  test("does not wait for ever for a layer that is read whole", async () => {
    await using setup = await lazySetup({ timeoutMs: 1, streamMs: 1 });
    setup.preparations.layer = (digest) => {
      setup.preparations.stream(digest);
      return new Promise(() => undefined);
    };
    expect(await setup.lazy.prepareLayer(requestOf(TOP))).toMatchObject({
      kind: "refused",
      reason: "timeout",
    });
  });

  test("a layer's time begins when it is asked for, however old its image's session is", async () => {
    await using setup = await lazySetup({ timeoutMs: 1000 });
    await setup.put(TOP);
    await setup.put(BOTTOM);
    await setup.lazy.prepareLayer(requestOf(BOTTOM));
    await Bun.sleep(1050);
    const { layer } = setup.preparations;
    setup.preparations.layer = async (digest) => {
      await Bun.sleep(5);
      return await layer(digest);
    };
    expect(await setup.lazy.prepareLayer(requestOf(TOP))).toMatchObject({ kind: "served" });
  });

  test.each([
    { title: "a failure of ours", error: new Error("bug"), reason: "internal" },
    { title: "one of the registry", error: new SociError("unavailable", "no"), reason: "registry" },
  ])("refuses after $title, and looks again the next time", async ({ error, reason }) => {
    await using setup = await lazySetup();
    await setup.put(TOP);
    const { layer } = setup.preparations;
    setup.preparations.layer = async () => {
      throw error;
    };
    expect(await setup.lazy.prepareLayer(requestOf(TOP))).toMatchObject({
      kind: "refused",
      reason,
      detail: error.message,
    });
    expect(setup.events).toEqual([`refused ${reason}`]);
    setup.preparations.layer = layer;
    expect(await setup.lazy.prepareLayer(requestOf(TOP))).toMatchObject({ kind: "served" });
    expect(setup.preparations.events.filter((event) => event.startsWith("open"))).toHaveLength(2);
  });

  test("a layer that is found not to be lazy is refused, and looked at again", async () => {
    await using setup = await lazySetup();
    const detail = "no valid SOCI index found";
    setup.preparations.layer = async () => ({ kind: "refused", reason: "no-index", detail });
    for (let round = 0; round < 2; round++) {
      expect(await setup.lazy.prepareLayer(requestOf(TOP))).toMatchObject({
        reason: "no-index",
        detail,
      });
    }
    expect(setup.preparations.events.filter((event) => event.startsWith("open"))).toHaveLength(2);
  });

  test("throws the signal's reason, and the next one joins what goes on", async () => {
    await using setup = await lazySetup();
    await setup.put(TOP);
    const { layer } = setup.preparations;
    const coming = Promise.withResolvers<void>();
    setup.preparations.layer = async (digest, { signal } = {}) => {
      await Promise.race([
        coming.promise,
        new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
      ]);
      return await layer(digest);
    };
    const giveUp = new AbortController();
    const answer = setup.lazy.prepareLayer(requestOf(TOP), { signal: giveUp.signal });
    await setImmediate();
    giveUp.abort(new Error("client is gone"));
    expect(await rejectionOf(answer)).toMatchObject({ message: "client is gone" });
    coming.resolve();
    expect(await setup.lazy.prepareLayer(requestOf(TOP))).toMatchObject({ kind: "served" });
    expect(setup.preparations.events).toHaveLength(2);
  });
});
