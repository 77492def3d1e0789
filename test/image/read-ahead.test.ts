import { describe, expect, test } from "bun:test";
import { ReadAhead } from "../../src/image/read-ahead.ts";

/** Chunks of one byte each in memory that is used again; how many were asked for, and whether it was given up. */
function source(count: number, failure?: unknown) {
  const state = { asked: 0, isClosed: false };
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const memory = new Uint8Array(1);
    try {
      for (; state.asked < count;) {
        memory[0] = state.asked++;
        yield memory;
        await Bun.sleep(0);
      }
      if (failure !== undefined) throw failure;
    } finally {
      state.isClosed = true;
    }
  }
  return { state, chunks: chunks() };
}

async function bytesOf(ahead: ReadAhead): Promise<number[]> {
  const bytes: number[] = [];
  for await (const chunk of ahead) bytes.push(...chunk);
  return bytes;
}

describe("ReadAhead", () => {
  test.each([0, 1, 3, 5, 100])("gives all there is in order, having read %d ahead", async (max) => {
    const { chunks } = source(5);
    await using ahead = new ReadAhead(chunks, max);
    await Bun.sleep(2);
    expect(await bytesOf(ahead)).toEqual([0, 1, 2, 3, 4]);
  });

  test("reads no further than it may before it is asked", async () => {
    const { chunks, state } = source(10);
    await using _ahead = new ReadAhead(chunks, 3);
    await Bun.sleep(10);
    expect(state.asked).toBe(3);
  });

  test("throws what the source throws when its reader comes to it", async () => {
    const error = new Error("broken");
    for (const max of [0, 2, 100]) {
      await using ahead = new ReadAhead(source(3, error).chunks, max);
      await Bun.sleep(5);
      await expect(bytesOf(ahead)).rejects.toBe(error);
    }
  });

  test("gives the source up when closed, also unread", async () => {
    const { chunks, state } = source(10);
    const ahead = new ReadAhead(chunks, 3);
    await ahead[Symbol.asyncDispose]();
    await ahead[Symbol.asyncDispose]();
    expect(state.isClosed).toBe(true);
    expect((await ahead.next()).done).toBe(true);
  });
});
