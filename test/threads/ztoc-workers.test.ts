import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import type { WorkerPort } from "../../src/threads/worker-conversation.ts";
import type { ZtocWorkerAnswer, ZtocWorkerRequest } from "../../src/threads/ztoc-messages.ts";
import { ZtocWorkers } from "../../src/threads/ztoc-workers.ts";
import { spawnZtocWorker } from "../../src/workers.ts";
import type { ZtocResult } from "../../src/ztoc/build-ztoc.ts";
import { buildTar } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { tempDir } from "../support/temp-dir.ts";

type Port = WorkerPort<ZtocWorkerRequest, ZtocWorkerAnswer>;

const REQUEST = { algorithm: "gzip", spanSize: 65_536 } as const;
const layer = gzipSync(await buildTar([{ name: "f", content: sampleBytes(300_000) }]));

async function* stream(bytes: Uint8Array = layer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function fileCount({ fileCount: count }: ZtocResult): Promise<number> {
  return count;
}

/** Real threads, counted. */
class CountedThreads {
  started = 0;
  terminated = 0;

  readonly spawn = (): Port => {
    this.started++;
    const worker: Port = spawnZtocWorker();
    return {
      postMessage: (message, transfer) => worker.postMessage(message, transfer),
      addEventListener: worker.addEventListener.bind(worker),
      terminate: () => {
        this.terminated++;
        worker.terminate();
      },
    };
  };
}

/** A thread that dies of an error of its own at the first request of a kind. */
function failingPort(kind: ZtocWorkerRequest["kind"]): Port {
  const onError: ((event: ErrorEvent) => void)[] = [];
  return {
    postMessage(message) {
      if (message.kind !== kind) return;
      const event = new ErrorEvent("error", { message: "out of memory", error: new Error("x") });
      setTimeout(() => {
        for (const listener of onError) listener(event);
      }, 1);
    },
    addEventListener(type: "message" | "error", listener: (event: never) => void) {
      if (type === "error") onError.push(listener as (event: ErrorEvent) => void);
    },
    terminate: () => undefined,
  };
}

async function withPool<T>(
  { spawn, count = 1 }: { readonly spawn: () => Port; readonly count?: number },
  use: (pool: ZtocWorkers) => Promise<T>,
): Promise<T> {
  await using directory = await tempDir();
  using pool = new ZtocWorkers({ spawn, count, temporaryDirectory: directory.path });
  return await use(pool);
}

describe("ZtocWorkers", () => {
  test("builds one layer after another in the same thread", async () => {
    const threads = new CountedThreads();
    await withPool(threads, async ({ build }) => {
      for (let i = 0; i < 3; i++) expect(await build(stream(), REQUEST, fileCount)).toBe(1);
    });
    expect(threads).toMatchObject({ started: 1, terminated: 1 });
  });

  test("starts no more threads than it may, and keeps all for the next layers", async () => {
    const threads = new CountedThreads();
    await withPool({ spawn: threads.spawn, count: 2 }, async ({ build }) => {
      for (let round = 0; round < 2; round++) {
        await Promise.all([1, 2, 3, 4, 5].map(() => build(stream(), REQUEST, fileCount)));
      }
    });
    expect(threads).toMatchObject({ started: 2, terminated: 2 });
  });

  test("ends the thread of a layer that was refused, and starts another", async () => {
    const threads = new CountedThreads();
    await withPool(threads, async ({ build }) => {
      const damaged = layer.subarray(0, 1000);
      await expect(build(stream(damaged), REQUEST, fileCount)).rejects.toMatchObject({
        kind: "data-loss",
      });
      expect(threads).toMatchObject({ started: 1, terminated: 1 });
      expect(await build(stream(), REQUEST, fileCount)).toBe(1);
    });
    expect(threads).toMatchObject({ started: 2, terminated: 2 });
  });

  test("ends the thread of a layer that was aborted", async () => {
    const threads = new CountedThreads();
    const abort = new AbortController();
    async function* aborting(): AsyncGenerator<Uint8Array> {
      yield layer.subarray(0, 1000);
      abort.abort(new Error("enough"));
      yield layer.subarray(1000);
    }
    await withPool(threads, async ({ build }) => {
      const request = { ...REQUEST, signal: abort.signal };
      await expect(build(aborting(), request, fileCount)).rejects.toThrow("enough");
      expect(threads).toMatchObject({ started: 1, terminated: 1 });
    });
  });

  test("does not start a thread for a layer that was aborted while it waited for one", async () => {
    const threads = new CountedThreads();
    const abort = new AbortController();
    await withPool(threads, async ({ build }) => {
      const request = { ...REQUEST, signal: abort.signal };
      await build(stream(), REQUEST, async () => {
        const waiting = build(stream(), request, fileCount);
        abort.abort(new Error("no patience"));
        await expect(waiting).rejects.toThrow("no patience");
      });
    });
    expect(threads.started).toBe(1);
  });

  test("ends a thread whose zTOC was not read to its end", async () => {
    const threads = new CountedThreads();
    await withPool(threads, async ({ build }) => {
      const use = async (result: ZtocResult): Promise<void> => {
        for await (const _chunk of result.chunks()) throw new Error("disk full");
      };
      await expect(build(stream(), REQUEST, use)).rejects.toThrow("disk full");
      expect(threads.terminated).toBe(1);
    });
  });

  test.each([
    { title: "at the start", kind: "begin" },
    { title: "at the end of the layer", kind: "finish" },
  ] as const)("throws when its thread dies $title", async ({ kind }) => {
    await withPool({ spawn: () => failingPort(kind) }, async ({ build }) => {
      // Without chunks: a dead thread gives no buffer back.
      const empty = (async function* () {})();
      await expect(build(empty, REQUEST, fileCount)).rejects.toThrow("out of memory");
    });
  });

  test("builds in a new thread after one has died", async () => {
    const threads = new CountedThreads();
    const ports = [failingPort("chunk"), threads.spawn()];
    const spawn = () => ports.shift() ?? threads.spawn();
    await withPool({ spawn }, async ({ build }) => {
      await expect(build(stream(), REQUEST, fileCount)).rejects.toThrow("out of memory");
      expect(await build(stream(), REQUEST, fileCount)).toBe(1);
    });
  });
});
