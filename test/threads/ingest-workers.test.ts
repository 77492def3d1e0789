import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { cacheRootOf, ingestDirectory } from "../../src/cache/cache-paths.ts";
import { LayerCache } from "../../src/cache/layer-cache.ts";
import { WasmEngine } from "../../src/deflate/wasm-engine.ts";
import type { IngestTarget, LayerIngester } from "../../src/image/layer-ingester.ts";
import { localIngester } from "../support/local-ingester.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { IngestWorkerAnswer, IngestWorkerRequest } from "../../src/threads/ingest-messages.ts";
import { IngestWorkers } from "../../src/threads/ingest-workers.ts";
import type { WorkerPort } from "../../src/threads/worker-conversation.ts";
import { spawnIngestWorker } from "../../src/workers.ts";
import { rejectionOf } from "../support/failure.ts";
import { buildTar } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import { tempDir } from "../support/temp-dir.ts";

const tar = await buildTar([{ name: "f", content: randomBytes(700_000) }]);
const blob = gzipSync(tar);
const layer = digestOf(blob);
const NEW: IngestTarget = { kind: "new", withSpans: true };
const diffId = async () => digestOf(tar);

async function* stream(bytes: Uint8Array = blob): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
}

/** Real threads, counted. */
class CountedThreads {
  started = 0;
  ended = 0;

  readonly spawn = (): WorkerPort<IngestWorkerRequest, IngestWorkerAnswer> => {
    this.started++;
    const worker: WorkerPort<IngestWorkerRequest, IngestWorkerAnswer> = spawnIngestWorker();
    return {
      postMessage: (message, transfer) => worker.postMessage(message, transfer),
      addEventListener: worker.addEventListener.bind(worker),
      terminate: () => {
        this.ended++;
        worker.terminate();
      },
    };
  };
}

const INGESTERS: readonly {
  readonly title: string;
  readonly start: (cacheRoot: string) => Disposable & { readonly ingest: LayerIngester };
}[] = [
  {
    title: "localIngester()",
    start: (cacheRoot) => ({
      ingest: localIngester({ cacheRoot, engine: () => new WasmEngine() }),
      [Symbol.dispose]: () => undefined,
    }),
  },
  {
    title: "IngestWorkers",
    start: (cacheRoot) => new IngestWorkers({ spawn: spawnIngestWorker, count: 2, cacheRoot }),
  },
];

describe.each(INGESTERS)("$title", ({ start }) => {
  test("puts a layer into the cache whole, with the zTOC that create makes", async () => {
    await using root = await tempDir();
    using ingester = start(cacheRootOf(root.path));
    const sizes: number[] = [];
    const ztoc = await ingester.ingest(
      stream(),
      {
        layer,
        target: NEW,
        diffId,
        onSize: async (bytes) => {
          sizes.push(bytes);
        },
      },
      async (result) => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of result.ztoc?.chunks() ?? []) chunks.push(chunk.slice());
        return Buffer.concat(chunks);
      },
    );
    const want = await ztocOf(blob, { spanSize: 4 << 20 });
    expect(digestOf(ztoc)).toBe(digestOf(want.bytes));
    expect(sizes.at(-1)).toBeGreaterThan(0);
    await using cache = await LayerCache.open({ root: root.path, log: NO_LOG });
    await using opened = await cache.openLayer(layer);
    expect(opened?.isComplete).toBe(true);
  });

  test("refuses other bytes than the diff ID says", async () => {
    await using root = await tempDir();
    using ingester = start(cacheRootOf(root.path));
    const request = { layer, target: NEW, diffId: async () => digestOf("other") };
    expect(
      await rejectionOf(ingester.ingest(stream(), request, async () => undefined)),
    ).toMatchObject({
      kind: "data-loss",
      message: expect.stringContaining("diff ID"),
    });
    expect(await readdir(ingestDirectory(cacheRootOf(root.path)))).toEqual([]);
  });

  test("makes nothing of a layer when its source, its diff ID or its taker fails", async () => {
    await using root = await tempDir();
    using ingester = start(cacheRootOf(root.path));
    const error = new Error("broken");
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield blob.subarray(0, 300_000);
      throw error;
    }
    const request = { layer, target: NEW, diffId };
    const none = async () => undefined;
    expect(await rejectionOf(ingester.ingest(broken(), request, none))).toBe(error);
    const noConfig = async () => {
      throw error;
    };
    expect(
      await rejectionOf(ingester.ingest(stream(), { ...request, diffId: noConfig }, none)),
    ).toBe(error);
    const full = async () => {
      throw error;
    };
    expect(await rejectionOf(ingester.ingest(stream(), { ...request, onSize: full }, none))).toBe(
      error,
    );
    expect(await readdir(ingestDirectory(cacheRootOf(root.path)))).toEqual([]);
    expect(await ingester.ingest(stream(), request, async () => "done")).toBe("done");
  });
});

describe("IngestWorkers", () => {
  test("takes layers at once in no more threads than it may, which end with the last", async () => {
    await using root = await tempDir();
    const threads = new CountedThreads();
    using workers = new IngestWorkers({
      spawn: threads.spawn,
      count: 2,
      cacheRoot: cacheRootOf(root.path),
    });
    const tars = await Promise.all(
      ["a", "b", "c", "d", "e"].map((name) => buildTar([{ name, content: name }])),
    );
    await Promise.all(
      tars.map((one) =>
        workers.ingest(
          stream(one),
          { layer: digestOf(one), target: NEW, diffId: async () => digestOf(one) },
          async () => undefined,
        ),
      ),
    );
    expect(threads.started).toBe(2);
    expect(threads.ended).toBe(2);
  });

  test("ends the thread of a layer that is given up, and leaves nothing of it", async () => {
    await using root = await tempDir();
    const threads = new CountedThreads();
    const cacheRoot = cacheRootOf(root.path);
    using workers = new IngestWorkers({ spawn: threads.spawn, count: 1, cacheRoot });
    const stop = new AbortController();
    const reason = new Error("enough");
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let i = 0; ; i++) {
        yield tar;
        if (i === 20) stop.abort(reason);
        await Bun.sleep(0);
      }
    }
    const { signal } = stop;
    expect(
      await rejectionOf(
        workers.ingest(endless(), { layer, target: NEW, diffId, signal }, async () => undefined),
      ),
    ).toBe(reason);
    expect(threads.ended).toBe(1);
    expect(await readdir(ingestDirectory(cacheRoot))).toEqual([]);
  });
});
