import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { mapped } from "./fake-chain-mounts.ts";
import { expectNothingLeft, type LazySetup, STACK, STACK_KEY, stackedSetup } from "./lazy-setup.ts";

const HOLDERS = ["10", "11", "12"];

const step = fc.oneof(
  fc.record({
    kind: fc.constant("mount" as const),
    holder: fc.constantFrom(...HOLDERS),
    depth: fc.constantFrom(1, 2),
    mapping: fc.constantFrom(undefined, 1, 2),
    isImpatient: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("release" as const),
    holder: fc.constantFrom("1", "2", ...HOLDERS),
  }),
  fc.record({ kind: fc.constant("lose" as const), which: fc.nat(3) }),
  fc.record({
    kind: fc.constant("fail" as const),
    call: fc.constantFrom("open" as const, "add" as const, "remove" as const),
  }),
  fc.record({ kind: fc.constant("turn" as const), count: fc.integer({ min: 1, max: 4 }) }),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Does a step without waiting for what it begins, which is returned. */
async function take(one: Step, { lazy, fake }: LazySetup): Promise<Promise<unknown>[]> {
  switch (one.kind) {
    case "mount": {
      const ids = one.mapping === undefined ? undefined : mapped(one.mapping).ids;
      const signal = one.isImpatient ? AbortSignal.abort() : undefined;
      const options = { holder: one.holder, top: String(one.depth), ids, signal };
      return [lazy.mountStack(STACK.slice(0, one.depth), options).catch(() => undefined)];
    }
    case "release":
      lazy.release(one.holder);
      return [];
    case "lose": {
      const name = fake.open[one.which];
      if (name !== undefined) fake.lose(name);
      return [];
    }
    case "fail":
      fake.failures.set(one.call, new Error(`${one.call} failed`));
      return [];
    case "turn":
      for (let turn = 0; turn < one.count; turn++) await setImmediate();
      return [];
  }
}

test("LazyLayers leaves nothing behind, whatever comes, goes, fails and is lost meanwhile", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.boolean(), async (steps, isEnded) => {
      await using setup = await stackedSetup();
      const { lazy, fake } = setup;
      const begun: Promise<unknown>[] = [];
      for (const one of steps) begun.push(...(await take(one, setup)));
      if (isEnded) await lazy[Symbol.asyncDispose]();
      await Promise.all(begun);
      fake.failures.clear();
      for (const holder of ["1", "2", ...HOLDERS]) lazy.release(holder);
      await expectNothingLeft(setup);
    }),
    { numRuns: 150 },
  );
});

test("LazyLayers shows a stack to who asks for it last, whatever was before", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      await using setup = await stackedSetup();
      const { lazy, fake } = setup;
      const begun: Promise<unknown>[] = [];
      for (const one of steps) begun.push(...(await take(one, setup)));
      fake.failures.clear();
      const path = await lazy.mountStack(STACK, { holder: "20", top: "21" });
      expect(path).toBe(`/mnt/plain/${STACK_KEY}`);
      await Promise.all(begun);
    }),
    { numRuns: 150 },
  );
});
