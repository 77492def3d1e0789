import { describe, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { layerDirectory } from "../../src/cache/cache-paths.ts";
import { keyByZtoc } from "../../src/cache/layer-key.ts";
import { SociError } from "../../src/errors.ts";
import { chainKeyOf } from "../../src/image/image-layers.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { rejectionOf } from "../support/failure.ts";
import { mapped } from "./fake-chain-mounts.ts";
import {
  BOTTOM,
  expectNothingLeft,
  lazySetup,
  requestOf,
  STACK,
  STACK_KEY,
  stackedSetup,
  TOP,
  until,
} from "./lazy-setup.ts";

const SHOWN_AT = `/mnt/plain/${STACK_KEY}`;

describe("LazyLayers.mountStack()", () => {
  test("does not keep a container waiting for ever; who comes again finds the stack", async () => {
    await using setup = await lazySetup({ timeoutMs: 50 });
    const { lazy } = setup;
    const coming = Promise.withResolvers<void>();
    setup.recover = async ({ digest }) => {
      await coming.promise;
      const { parts } = digest === TOP.digest ? TOP : BOTTOM;
      return await setup.cache.createLayer(digest, parts);
    };
    for (const [index, served] of STACK.entries()) lazy.holdLayer(String(index + 1), served);
    expect(await rejectionOf(lazy.mountStack(STACK, { holder: "10", top: "2" }))).toMatchObject({
      kind: "unavailable",
      message: "Cannot show layers within 50 ms",
    });
    lazy.release("10");
    coming.resolve();
    await until(() => setup.events.includes("shown"));
    expect(await lazy.mountStack(STACK, { holder: "11", top: "2" })).toBe(SHOWN_AT);
  });

  test("shows a stack once for all, until the last of them and its image are gone", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake } = setup;
    const paths = await Promise.all([
      lazy.mountStack(STACK, { holder: "10", top: "2" }),
      lazy.mountStack(STACK, { holder: "11", top: "2" }),
    ]);
    paths.push(await lazy.mountStack(STACK, { holder: "10", top: "2" }));
    expect(new Set(paths)).toEqual(new Set([SHOWN_AT]));
    expect(fake.events).toEqual(["open plain", `add plain ${STACK_KEY}`]);
    expect(lazy.stacksWith(TOP.digest)).toBe(1);
    lazy.release("10");
    lazy.release("11");
    await lazy.settled();
    // The next container of the image finds it there.
    expect(fake.mounts.count).toBe(1);
    lazy.release("2");
    lazy.release("1");
    await expectNothingLeft(setup);
    expect(lazy.stacksWith(TOP.digest)).toBe(0);
  });

  test("shows layers that came back in another way, beside those that are so", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake, cache } = setup;
    const lost = keyByZtoc(BOTTOM.digest, digestOf("a zTOC that is gone"));
    setup.recover = ({ digest }) => cache.createLayer(digest, BOTTOM.parts);
    const asked = STACK.map((layer, i) => (i === 0 ? { ...layer, cacheKey: lost } : layer));
    const askedKey = chainKeyOf(asked.map(({ cacheKey }) => cacheKey));
    expect(await lazy.mountStack(asked, { holder: "20", top: "20" })).toBe(
      `/mnt/plain/${askedKey}`,
    );
    // Its tree is made of what is there.
    expect([...setup.trees]).toEqual([STACK_KEY]);
    expect(await lazy.mountStack(STACK, { holder: "10", top: "2" })).toBe(SHOWN_AT);
    expect(fake.mounts.count).toBe(2);
    for (const holder of ["20", "10", "2", "1"]) lazy.release(holder);
    await expectNothingLeft(setup);
  });

  test("a mapping's stack goes with its container", async () => {
    await using setup = await stackedSetup();
    const { ids } = mapped(1000);
    const path = await setup.lazy.mountStack(STACK, { holder: "10", top: "2", ids });
    expect(path).not.toBe(SHOWN_AT);
    setup.lazy.release("10");
    await setup.lazy.settled();
    expect(setup.fake.open).toEqual([]);
    expect(setup.leases.size).toBe(2);
  });

  test("a stack that is asked for while it is hidden is shown behind that", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake } = setup;
    await lazy.mountStack(STACK, { holder: "10", top: "2" });
    const gate = Promise.withResolvers<void>();
    fake.gates.set("remove", gate.promise);
    lazy.release("10");
    lazy.release("2");
    await until(() => fake.events.includes(`remove plain ${STACK_KEY}`));
    const again = lazy.mountStack(STACK, { holder: "11", top: "3" });
    await setImmediate();
    expect(fake.events.at(-1)).toBe(`remove plain ${STACK_KEY}`);
    gate.resolve();
    expect(await again).toBe(SHOWN_AT);
    expect(fake.mounts.count).toBe(1);
    expect(setup.leases.size).toBe(2);
    for (const holder of ["11", "3", "1"]) lazy.release(holder);
    await expectNothingLeft(setup);
  });

  test("released while it is shown, a stack is hidden as soon as it can be", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake } = setup;
    const gate = Promise.withResolvers<void>();
    fake.gates.set("add", gate.promise);
    const failed = rejectionOf(lazy.mountStack(STACK, { holder: "10", top: "2" }));
    await until(() => fake.events.length === 2);
    for (const holder of ["10", "2", "1"]) lazy.release(holder);
    gate.resolve();
    expect(await failed).toMatchObject({ kind: "unavailable" });
    await expectNothingLeft(setup);
  });

  test("comes and goes in any order leave nothing", async () => {
    await using setup = await stackedSetup();
    const { lazy } = setup;
    const results: Promise<unknown>[] = [];
    for (let round = 0; round < 20; round++) {
      const holder = String(100 + round);
      const ids = round % 3 === 0 ? mapped(round % 2).ids : undefined;
      results.push(lazy.mountStack(STACK, { holder, top: "2", ids }).catch(() => undefined));
      if (round % 4 > 0) await setImmediate();
      if (round % 2 === 0) lazy.release("2");
      lazy.release(holder);
    }
    await Promise.all(results);
    for (const holder of ["1", "2"]) lazy.release(holder);
    await expectNothingLeft(setup);
  });

  test("shows a stack again, once, that was unmounted under us", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake } = setup;
    await lazy.mountStack(STACK, { holder: "10", top: "2" });
    fake.lose("plain");
    await until(() => fake.events.includes("end plain"));
    const paths = await Promise.all(
      ["10", "11", "12"].map((holder) => lazy.mountStack(STACK, { holder, top: "2" })),
    );
    expect(new Set(paths)).toEqual(new Set([SHOWN_AT]));
    expect(fake.events.filter((event) => event.startsWith("add"))).toHaveLength(2);
    expect(fake.mounts.count).toBe(1);
    expect(setup.leases.size).toBe(2);
    for (const holder of ["10", "11", "12", "2", "1"]) lazy.release(holder);
    await expectNothingLeft(setup);
  });

  test("fails while a lost mount cannot be made again, and goes on when it can", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake } = setup;
    await lazy.mountStack(STACK, { holder: "10", top: "2" });
    fake.lose("plain");
    await until(() => fake.events.includes("end plain"));
    fake.failures.set("open", new Error("no /dev/fuse"));
    const results = await Promise.allSettled(
      ["10", "11"].map((holder) => lazy.mountStack(STACK, { holder, top: "2" })),
    );
    for (const result of results) {
      expect(result).toMatchObject({ status: "rejected", reason: { message: "no /dev/fuse" } });
    }
    expect(await lazy.mountStack(STACK, { holder: "10", top: "2" })).toBe(SHOWN_AT);
    for (const holder of ["10", "11", "2", "1"]) lazy.release(holder);
    await expectNothingLeft(setup);
  });

  test("a failure keeps nothing, and the next one tries again", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake } = setup;
    fake.failures.set("add", new SociError("data-loss", "tree is damaged"));
    expect(await rejectionOf(lazy.mountStack(STACK, { holder: "10", top: "2" }))).toMatchObject({
      kind: "data-loss",
    });
    expect([...setup.trees]).toEqual([]);
    expect(await lazy.mountStack(STACK, { holder: "10", top: "2" })).toBe(SHOWN_AT);
    for (const holder of ["10", "2", "1"]) lazy.release(holder);
    await expectNothingLeft(setup);
  });

  test("names the layer that is gone and cannot be had again", async () => {
    await using setup = await lazySetup();
    await setup.put(TOP);
    expect(
      await rejectionOf(setup.lazy.mountStack(STACK, { holder: "10", top: "2" })),
    ).toMatchObject({ kind: "unavailable", message: `layer "${BOTTOM.digest}" unavailable` });
  });

  test("the signal ends the wait, and the stack is shown for the next one", async () => {
    await using setup = await stackedSetup();
    const gate = Promise.withResolvers<void>();
    setup.treeGate = gate.promise;
    const giveUp = new AbortController();
    const options = { holder: "10", top: "2", signal: giveUp.signal };
    const waiting = setup.lazy.mountStack(STACK, options);
    giveUp.abort(new Error("client is gone"));
    expect(await rejectionOf(waiting)).toMatchObject({ message: "client is gone" });
    gate.resolve();
    expect(await setup.lazy.mountStack(STACK, { holder: "10", top: "2" })).toBe(SHOWN_AT);
    expect(setup.events).toEqual(["shown"]);
  });

  test("disposed of in the middle it takes the stack away, and shows no more", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake } = setup;
    const gate = Promise.withResolvers<void>();
    setup.treeGate = gate.promise;
    const failed = rejectionOf(lazy.mountStack(STACK, { holder: "10", top: "2" }));
    await setImmediate();
    const ending = lazy[Symbol.asyncDispose]();
    gate.resolve();
    await ending;
    expect(await failed).toMatchObject({ kind: "unavailable" });
    expect(fake.mounts.count).toBe(0);
    expect(await rejectionOf(lazy.mountStack(STACK, { holder: "11", top: "2" }))).toMatchObject({
      kind: "unavailable",
    });
    expect(fake.events.filter((event) => event.startsWith("add"))).toHaveLength(1);
  });
});

describe("LazyLayers.restore()", () => {
  const layers = STACK.map((layer, index) => ({ snapshot: String(index + 1), layer }));
  const stacks = [{ layers: STACK, options: { holder: "10", top: "2" } }];

  test("holds the layers and shows the stacks, without a registry", async () => {
    await using setup = await lazySetup();
    for (const sample of [BOTTOM, TOP]) await setup.put(sample);
    await setup.lazy.restore({ layers, stacks });
    expect(setup.fake.mounts.count).toBe(1);
    expect(setup.preparations.events).toEqual([]);
    expect(setup.logged).toContain("snapshots restored");
    for (const holder of ["10", "2", "1"]) setup.lazy.release(holder);
    await expectNothingLeft(setup);
  });

  test("goes on without a stack of which a layer is gone, which is shown when it can be", async () => {
    await using setup = await lazySetup();
    for (const sample of [BOTTOM, TOP]) await setup.put(sample);
    await rm(layerDirectory(setup.cache.root, BOTTOM.digest), { recursive: true });
    const [, top] = STACK;
    const alone = { layers: top === undefined ? [] : [top], options: { holder: "11", top: "9" } };
    await setup.lazy.restore({ layers, stacks: [...stacks, alone] });
    expect(setup.fake.mounts.count).toBe(1);
    expect(
      setup.logged.filter((message) => message.includes("cannot be shown again")),
    ).toHaveLength(1);
    setup.recover = () => setup.cache.createLayer(BOTTOM.digest, BOTTOM.parts);
    expect(await setup.lazy.mountStack(STACK, { holder: "10", top: "2" })).toBe(SHOWN_AT);
  });

  test("does not wait for a registry that does not answer; the stack is shown when it does", async () => {
    await using setup = await lazySetup({ restoreMs: 1 });
    await setup.put(TOP);
    const answer = Promise.withResolvers<void>();
    setup.recover = async () => {
      await answer.promise;
      return await setup.cache.createLayer(BOTTOM.digest, BOTTOM.parts);
    };
    await setup.lazy.restore({ layers, stacks });
    expect(setup.fake.mounts.count).toBe(0);
    answer.resolve();
    expect(await setup.lazy.mountStack(STACK, { holder: "10", top: "2" })).toBe(SHOWN_AT);
    expect(setup.fake.events).toHaveLength(2);
  });

  test("a snapshot that is removed while its stack is restored leaves nothing", async () => {
    await using setup = await lazySetup();
    for (const sample of [BOTTOM, TOP]) await setup.put(sample);
    const gate = Promise.withResolvers<void>();
    setup.treeGate = gate.promise;
    const restoring = setup.lazy.restore({ layers, stacks });
    await setImmediate();
    for (const holder of ["10", "2", "1"]) setup.lazy.release(holder);
    gate.resolve();
    await restoring;
    await expectNothingLeft(setup);
  });
});

describe("LazyLayers.cleanup()", () => {
  test("ends idle sessions and collects when what was released is gone", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake, preparations, events } = setup;
    await lazy.prepareLayer(requestOf(TOP));
    await lazy.mountStack(STACK, { holder: "10", top: "2" });
    for (const holder of ["10", "2", "1"]) lazy.release(holder);
    await lazy.cleanup();
    expect(events.at(-1)).toBe("collected");
    expect(fake.mounts.count).toBe(0);
    expect(preparations.events.slice(-2)).toEqual([
      "end example.com/app:1",
      "close example.com/app:1",
    ]);
  });

  test("throws the signal's reason while something is still going", async () => {
    await using setup = await stackedSetup();
    const gate = Promise.withResolvers<void>();
    await setup.lazy.mountStack(STACK, { holder: "10", top: "2" });
    setup.fake.gates.set("remove", gate.promise);
    for (const holder of ["10", "2"]) setup.lazy.release(holder);
    const giveUp = new AbortController();
    const failed = rejectionOf(setup.lazy.cleanup({ signal: giveUp.signal }));
    giveUp.abort(new Error("client is gone"));
    expect(await failed).toMatchObject({ message: "client is gone" });
    expect(setup.events).not.toContain("collected");
    gate.resolve();
  });
});

describe("LazyLayers.leave()", () => {
  test("leaves what a snapshot uses, and takes away what only waits for one", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake } = setup;
    await lazy.mountStack(STACK, { holder: "10", top: "2" });
    await lazy.mountStack(STACK.slice(0, 1), { holder: "1", top: "1" });
    expect(lazy.users()).toEqual(["10"]);
    await lazy.leave();
    await lazy[Symbol.asyncDispose]();
    const keys = fake.events.map((event) => event.split(" ")[0]);
    expect(keys).toEqual(["open", "add", "add", "remove", "leave"]);
    expect(setup.trees.size).toBe(0);
    expect(await rejectionOf(lazy.mountStack(STACK, { holder: "11", top: "2" }))).toMatchObject({
      kind: "unavailable",
    });
  });

  test("ends mounts that nobody uses", async () => {
    await using setup = await stackedSetup();
    const { lazy, fake } = setup;
    await lazy.mountStack(STACK, { holder: "10", top: "2" });
    lazy.release("10");
    await lazy.leave();
    expect(fake.open).toEqual([]);
  });
});
