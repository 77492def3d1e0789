import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { abortable } from "../../src/async/abortable.ts";
import type { WaitOptions } from "../../src/async/wait-options.ts";
import { FileReads } from "../../src/lazyfs/read-file.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { EINTR, EIO, ESTALE } from "../../src/sys/errno.ts";
import { sysClose, sysRead, sysSetNonBlocking, sysSocketpair } from "../../src/sys/libc.ts";
import type { ReadMiss } from "../../src/threads/fuse-messages.ts";
import { ReadAnswerer } from "../../src/threads/read-answerer.ts";
import { encodeLayerTable } from "../../src/tree/encode-layer-table.ts";
import { LayerTable } from "../../src/tree/layer-table.ts";
import { buildLayerTree } from "../../src/tree/layer-tree.ts";
import { type Reply, replyOf } from "../support/fuse-frame.ts";
import { file, toc } from "../tree/toc-entries.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const LAYER = 1;

// A socket that keeps messages apart, for the device.
let device: number;
let kernel: number;

beforeEach(() => {
  const fds = new Int32Array(2);
  sysSocketpair(AF_UNIX, SOCK_SEQPACKET, fds);
  [device = -1, kernel = -1] = fds;
  sysSetNonBlocking(kernel);
});

afterEach(() => {
  sysClose(device);
  sysClose(kernel);
});

/** Of a layer with one file, whose bytes are those of the tar's offsets. */
function answerer(
  want: (signal: AbortSignal | undefined) => Promise<void>,
  onReplied?: (slot: number) => void,
): ReadAnswerer {
  const tree = buildLayerTree(toc([file("a", { uncompressedOffset: 7, uncompressedSize: 100 })]));
  const layer = {
    files: new FileReads(LayerTable.open(encodeLayerTable(tree))),
    reader: {
      read: (start: number, end: number, bytes: Uint8Array, at: number) => {
        for (let i = start; i < end; i++) bytes[at + i - start] = i;
        return end - start;
      },
    },
    want: (_start: number, _end: number, { signal }: WaitOptions) => want(signal),
  };
  const layers = new Map([[LAYER, layer]]);
  return new ReadAnswerer({ layers, maxRead: 1 << 16, onReplied, log: NO_LOG });
}

function miss(unique: bigint): ReadMiss {
  return { kind: "miss", fd: device, unique, layer: LAYER, entry: 0, offset: 3, size: 4 };
}

function replies(): Reply[] {
  const found: Reply[] = [];
  const buffer = new Uint8Array(1024);
  for (let count = sysRead(kernel, buffer); count > 0; count = sysRead(kernel, buffer)) {
    found.push(replyOf(buffer.slice(0, count)));
  }
  return found;
}

const never = (signal: AbortSignal | undefined): Promise<void> =>
  abortable(new Promise<void>(() => undefined), signal);

describe("ReadAnswerer", () => {
  test("answers with the bytes when they have come", async () => {
    const bytes = Promise.withResolvers<void>();
    await using answers = answerer(() => bytes.promise);
    const answer = answers.answer(miss(5n));
    expect({ replies: replies(), pending: answers.pending }).toEqual({ replies: [], pending: 1 });
    bytes.resolve();
    await answer;
    expect(replies()).toMatchObject([
      { unique: 5n, errno: 0, body: Uint8Array.of(10, 11, 12, 13) },
    ]);
    expect(answers.pending).toBe(0);
  });

  test("answers with EIO what cannot be had, and its repetition at once", async () => {
    let asked = 0;
    await using answers = answerer(() => {
      asked++;
      return Promise.reject(new Error("no"));
    });
    await answers.answer(miss(5n));
    await answers.answer(miss(6n));
    expect(replies()).toMatchObject([
      { unique: 5n, errno: EIO },
      { unique: 6n, errno: EIO },
    ]);
    expect(asked).toBe(1);
  });

  test.each([
    { title: "that comes after it", isEarly: false },
    { title: "that comes before it", isEarly: true },
  ])("answers a read with EINTR for an interrupt $title", async ({ isEarly }) => {
    await using answers = answerer(never);
    if (isEarly) answers.interrupt(5n);
    const answer = answers.answer(miss(5n));
    answers.interrupt(5n);
    await answer;
    expect(replies()).toMatchObject([{ unique: 5n, errno: EINTR }]);
  });

  test("answers with ESTALE what waits for a layer that is dropped, and that alone", async () => {
    await using answers = answerer(never);
    void answers.answer(miss(5n));
    await answers.drop(LAYER + 1);
    expect(replies()).toEqual([]);
    await answers.drop(LAYER);
    expect(replies()).toMatchObject([{ unique: 5n, errno: ESTALE }]);
    expect(answers.pending).toBe(0);
  });

  test("has written every reply when it is disposed of, also to what comes in the end", async () => {
    const answers = answerer(never);
    void answers.answer(miss(5n));
    answers.interruptAll();
    // Its thread had posted it before it was stopped.
    void answers.answer(miss(6n));
    await answers[Symbol.asyncDispose]();
    expect(new Set(replies().map(({ unique, errno }) => `${unique} ${errno}`))).toEqual(
      new Set([`5 ${EINTR}`, `6 ${EINTR}`]),
    );
    expect(answers.pending).toBe(0);
  });

  test("waits in the end for a source that is slow to give up", async () => {
    const slow = Promise.withResolvers<void>();
    const answers = answerer(() => slow.promise);
    void answers.answer(miss(5n));
    const disposed = answers[Symbol.asyncDispose]().then(() => replies().length);
    await Bun.sleep(0);
    slow.reject(new Error("the layer is closed"));
    expect(await disposed).toBe(1);
  });
});

describe("ReadAnswerer.leaveAll()", () => {
  test("answers nobody any more, neither who waits nor who comes", async () => {
    await using answers = answerer(never);
    const waiting = answers.answer(miss(5n));
    answers.leaveAll();
    await waiting;
    await answers.answer(miss(6n));
    answers.interrupt(5n);
    await answers[Symbol.asyncDispose]();
    expect(replies()).toEqual([]);
  });
});

describe("ReadAnswerer with a journal", () => {
  test("says which reads have been answered, however", async () => {
    const slots: number[] = [];
    await using answers = answerer(
      async (signal) => {
        if (signal?.aborted === true) throw signal.reason;
        throw new Error("no bytes");
      },
      (slot) => slots.push(slot),
    );
    await answers.answer({ ...miss(5n), slot: 3 });
    answers.interrupt(6n);
    await answers.answer({ ...miss(6n), slot: 4 });
    await answers.answer(miss(7n));
    expect(slots).toEqual([3, 4]);
  });

  test("says nothing of reads that it leaves", async () => {
    const slots: number[] = [];
    await using answers = answerer(never, (slot) => slots.push(slot));
    const waiting = answers.answer({ ...miss(5n), slot: 3 });
    answers.leaveAll();
    await waiting;
    expect(slots).toEqual([]);
  });
});
