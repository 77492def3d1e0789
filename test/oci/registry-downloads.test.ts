import { describe, expect, test } from "bun:test";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { OCTET_STREAM } from "../../src/oci/media-types.ts";
import { collect } from "../suite/image-source.ts";
import { memoryBlobs } from "../support/blob-store.ts";
import { addImage } from "../support/image-builder.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import { type ExpiredAnswer, TestStorage } from "../support/registry-storage.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { clientOf, IMAGE, LAYER, startRegistry, V1 } from "./registry-fixture.ts";

const BIG = sampleBytes(3_000_000, 5);
const PARALLEL = {
  minBytes: 1_000_000,
  minLatencyMs: 10,
  rangeBytes: 100_000,
  ahead: 500_000,
  window: 1_000_000,
};

interface BigRegistry {
  readonly registry: TestRegistry;
  readonly blob: Descriptor;
}

async function startBig(delayMs: number): Promise<BigRegistry> {
  const registry = TestRegistry.start({ answerDelayMs: delayMs });
  const digest = await registry.addBlob("app", BIG);
  return { registry, blob: { mediaType: OCTET_STREAM, digest, size: BIG.length } };
}

describe("RegistryClient.getBlob() of a large blob", () => {
  test("fetches ranges from far away, several at once, and gives them in order", async () => {
    const { registry, blob } = await startBig(15);
    await using _registry = registry;
    const started = performance.now();
    const got = await collect(clientOf(registry, { parallel: PARALLEL }).getBlob(blob));
    expect(got.equals(BIG)).toBe(true);
    expect(registry.requests.length).toBe(30);
    expect(performance.now() - started).toBeLessThan((30 * 15) / 2);
  });

  test("fetches the rest by one request from nearby", async () => {
    const { registry, blob } = await startBig(0);
    await using _registry = registry;
    const parallel = { ...PARALLEL, minLatencyMs: 10_000 };
    const got = await collect(clientOf(registry, { parallel }).getBlob(blob));
    expect(got.equals(BIG)).toBe(true);
    expect(registry.requests.map(({ range }) => range)).toEqual([
      "bytes=0-99999",
      "bytes=100000-2999999",
    ]);
  });

  test("fetches the rest by one request when only the first answer was late", async () => {
    const { registry, blob } = await startBig(300);
    await using _registry = registry;
    const parallel = { ...PARALLEL, minLatencyMs: 250 };
    const reading = collect(clientOf(registry, { parallel }).getBlob(blob));
    await Bun.sleep(50);
    registry.manners.answerDelayMs = 0;
    expect((await reading).equals(BIG)).toBe(true);
    expect(registry.requests.map(({ range }) => range)).toEqual([
      "bytes=0-99999",
      "bytes=100000-199999",
      "bytes=200000-2999999",
    ]);
  });

  test("takes the whole where ranges are not done", async () => {
    const { registry, blob } = await startBig(15);
    await using _registry = registry;
    registry.manners.ignoreRange = true;
    const got = await collect(clientOf(registry, { parallel: PARALLEL }).getBlob(blob));
    expect(got.equals(BIG)).toBe(true);
    expect(registry.requests.length).toBe(1);
  });

  test("asks for no more than its window while nobody reads", async () => {
    const { registry, blob } = await startBig(15);
    await using _registry = registry;
    const chunks = clientOf(registry, { parallel: PARALLEL }).getBlob(blob);
    for await (const _chunk of chunks) {
      await Bun.sleep(250);
      break;
    }
    // The first range, and a window behind it.
    expect(registry.requests.length).toBeLessThanOrEqual(11);
  });

  test("refuses a blob with a wrong byte in a later range", async () => {
    const { registry, blob } = await startBig(15);
    await using _registry = registry;
    registry.manners.answerDelayMs = 15;
    registry.corruptNext(1, { at: 5000 });
    const read = collect(clientOf(registry, { parallel: PARALLEL }).getBlob(blob));
    await expect(read).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("ends all requests when one fails for good", async () => {
    const { registry, blob } = await startBig(15);
    await using _registry = registry;
    const client = clientOf(registry, { parallel: PARALLEL });
    const read = async (): Promise<void> => {
      for await (const _chunk of client.getBlob(blob)) {
        registry.failNext(1000, { status: 404 });
      }
    };
    await expect(read()).rejects.toMatchObject({ kind: "not-found" });
    const { requests } = client.stats;
    await Bun.sleep(60);
    expect(client.stats.requests).toBe(requests);
  });

  test("goes on where connections broke", async () => {
    const { registry, blob } = await startBig(15);
    await using _registry = registry;
    await using proxy = await LatencyProxy.start({
      target: registry.host,
      resetAfterBytes: 130_000,
    });
    const got = await collect(clientOf(proxy, { parallel: PARALLEL }).getBlob(blob));
    expect(got.equals(BIG)).toBe(true);
  });

  test("throws the signal's reason", async () => {
    const { registry, blob } = await startBig(15);
    await using _registry = registry;
    const controller = new AbortController();
    const reason = new Error("enough");
    const client = clientOf(registry, { parallel: PARALLEL });
    const read = async (): Promise<void> => {
      for await (const _chunk of client.getBlob(blob, { signal: controller.signal })) {
        controller.abort(reason);
      }
    };
    await expect(read()).rejects.toBe(reason);
  });
});

describe("RegistryClient and redirects to storage", () => {
  async function startStored(whenExpired: ExpiredAnswer = 403) {
    await using cleanup = new AsyncDisposableStack();
    const blobs = memoryBlobs();
    const storage = cleanup.use(new TestStorage(blobs, { whenExpired }));
    const registry = cleanup.use(
      TestRegistry.start(
        { redirectBlobsTo: (digest) => storage.urlOf(digest), auth: { kind: "bearer" } },
        blobs,
      ),
    );
    await addImage(registry, "app", { image: IMAGE, tag: "v1" });
    const owned = cleanup.move();
    return { registry, storage, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  }
  const range = { start: 100, end: 4100 };

  test("asks the registry once, then the storage alone", async () => {
    await using stored = await startStored();
    const client = clientOf(stored.registry);
    await collect(client.getBlobRange(LAYER.descriptor, range));
    stored.registry.clearRequests();
    const got = await collect(client.getBlobRange(LAYER.descriptor, range));
    expect(got.equals(LAYER.bytes.subarray(100, 4100))).toBe(true);
    expect(stored.registry.requests).toEqual([]);
  });

  test("shows the storage no credentials", async () => {
    await using stored = await startStored();
    const client = clientOf(stored.registry);
    await collect(client.getBlobRange(LAYER.descriptor, range));
    await collect(client.getBlobRange(LAYER.descriptor, range));
    expect(stored.storage.requests.map(({ authorization }) => authorization)).toEqual([
      undefined,
      undefined,
    ]);
  });

  test.each<{ whenExpired: ExpiredAnswer }>([
    { whenExpired: 403 },
    { whenExpired: 404 },
    { whenExpired: 410 },
    { whenExpired: "400 ExpiredToken" },
  ])("asks again, once, when the URL has expired: $whenExpired", async ({ whenExpired }) => {
    await using stored = await startStored(whenExpired);
    const client = clientOf(stored.registry);
    await collect(client.getBlobRange(LAYER.descriptor, range));
    stored.storage.expire();
    const before = client.stats.requests;
    const got = await collect(client.getBlobRange(LAYER.descriptor, range));
    expect(got.equals(LAYER.bytes.subarray(100, 4100))).toBe(true);
    // The one that failed, the registry, and the storage again.
    expect(client.stats.requests - before).toBe(3);
  });

  test("asks again once for all readers of an expired URL", async () => {
    await using stored = await startStored();
    const client = clientOf(stored.registry);
    await collect(client.getBlobRange(LAYER.descriptor, range));
    stored.storage.expire();
    stored.registry.clearRequests();
    const reads = Array.from({ length: 40 }, (_, i) =>
      collect(client.getBlobRange(LAYER.descriptor, { start: i * 1000, end: i * 1000 + 500 })),
    );
    const got = await Promise.all(reads);
    expect(
      got.every((piece, i) => piece.equals(LAYER.bytes.subarray(i * 1000, i * 1000 + 500))),
    ).toBe(true);
    expect(stored.registry.requests.length).toBe(1);
  });

  test("asks again when the storage is gone", async () => {
    await using stored = await startStored();
    const client = clientOf(stored.registry);
    await collect(client.getBlobRange(LAYER.descriptor, range));
    await stored.storage[Symbol.asyncDispose]();
    stored.registry.manners.redirectBlobsTo = undefined;
    const got = await collect(client.getBlobRange(LAYER.descriptor, range));
    expect(got.equals(LAYER.bytes.subarray(100, 4100))).toBe(true);
  });

  test("throws not-found when the registry has the blob no more", async () => {
    await using stored = await startStored();
    const client = clientOf(stored.registry);
    await collect(client.getBlobRange(LAYER.descriptor, range));
    stored.storage.expire();
    stored.registry.failNext(1, { status: 404, path: /blobs/ });
    const read = collect(client.getBlobRange(LAYER.descriptor, range));
    await expect(read).rejects.toMatchObject({ kind: "not-found" });
  });

  test("names no signature in an error or a log", async () => {
    await using stored = await startStored();
    const told: string[] = [];
    const client = clientOf(stored.registry, {
      log: {
        debug: (message, fields) => told.push(message, Bun.inspect(fields, { depth: 20 })),
        info: () => undefined,
        warn: (message, fields) => told.push(message, Bun.inspect(fields, { depth: 20 })),
        error: () => undefined,
        child() {
          return this;
        },
      },
    });
    await collect(client.getBlobRange(LAYER.descriptor, range));
    stored.storage.expire();
    await collect(client.getBlobRange(LAYER.descriptor, range));
    stored.registry.manners.redirectBlobsTo = (digest) =>
      `http://127.0.0.1:1/${digest}?X-Signature=secret-of-mine`;
    stored.storage.expire();
    const error: unknown = await collect(client.getBlobRange(LAYER.descriptor, range)).catch(
      (reason: unknown) => reason,
    );
    told.push(Bun.inspect(error, { depth: 20 }));
    expect(told.join("\n")).toContain("127.0.0.1:1");
    expect(told.join("\n")).not.toContain("secret-");
    expect(told.join("\n")).not.toContain("Bearer");
  });
});

describe("RegistryClient and connections that are reset", () => {
  async function readOver(host: string): Promise<boolean> {
    const client = clientOf({ host });
    const { descriptor } = await client.getManifest(V1);
    const range = { start: 0, end: 300 };
    const got = await collect(client.getBlobRange(LAYER.descriptor, range));
    return (
      descriptor.digest === IMAGE.descriptor.digest && got.equals(LAYER.bytes.subarray(0, 300))
    );
  }

  test("reads whole, at whichever byte of the answers the first connection is reset", async () => {
    await using registry = await startRegistry();
    const next = Array.from({ length: 1400 }, (_, at) => at).values();
    const wrong: number[] = [];
    const lane = async (): Promise<void> => {
      for (const resetAfterBytes of next) {
        const line = { target: registry.host, resetAfterBytes, resets: 1 };
        await using proxy = await LatencyProxy.start(line);
        if (!(await readOver(proxy.host))) {
          wrong.push(resetAfterBytes);
        }
      }
    };
    await Promise.all(Array.from({ length: 24 }, lane));
    expect(wrong).toEqual([]);
  }, 60_000);
});
