import { describe, expect, test } from "bun:test";
import { EarlyMerge } from "../../src/image/early-merge.ts";

function counted(outcomes: readonly (Error | undefined)[] = []) {
  const state = { merges: 0 };
  const merge = async () => {
    const failure = outcomes[state.merges++];
    if (failure !== undefined) throw failure;
  };
  return { state, merge };
}

describe("EarlyMerge", () => {
  test("merges when the last layer has begun, before it has ended", async () => {
    const { state, merge } = counted();
    const merging = new EarlyMerge(2, merge);
    await merging.begin(Promise.resolve());
    expect(state.merges).toBe(0);
    const last = Promise.withResolvers<void>();
    const added = merging.begin(last.promise);
    expect(state.merges).toBe(1);
    last.resolve();
    await added;
    await merging.finish();
    expect(state.merges).toBe(1);
  });

  test("merges again when a layer was added in another way, whatever came of it before", async () => {
    const { state, merge } = counted([new Error("a layer is missing")]);
    const merging = new EarlyMerge(1, merge);
    expect(await merging.begin(Promise.resolve("bad"))).toBe("bad");
    merging.takeBack();
    await merging.begin(Promise.resolve());
    await merging.finish();
    expect(state.merges).toBe(2);
  });

  test("throws what merging throws at its end", async () => {
    const error = new Error("bad link");
    const merging = new EarlyMerge(1, counted([error]).merge);
    await merging.begin(Promise.resolve());
    await expect(merging.finish()).rejects.toBe(error);
  });

  test("merges a chain without layers", async () => {
    const { state, merge } = counted();
    await new EarlyMerge(0, merge).finish();
    expect(state.merges).toBe(1);
  });
});
