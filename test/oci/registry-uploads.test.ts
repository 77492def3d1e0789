import { describe, expect, test } from "bun:test";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { OCTET_STREAM } from "../../src/oci/media-types.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { clientOf } from "./registry-fixture.ts";

const BYTES = sampleBytes(900_000, 9);
const BLOB: Descriptor = {
  mediaType: OCTET_STREAM,
  digest: digestOf(BYTES),
  size: BYTES.length,
};

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 30_000) {
    yield bytes.subarray(at, at + 30_000);
    await Bun.sleep(0);
  }
}

function sentRanges(registry: TestRegistry): (string | null)[] {
  return registry.requests
    .filter(({ method }) => method === "PATCH")
    .map(({ headers }) => headers.get("content-range"));
}

describe("RegistryClient.uploadBlob() in one piece", () => {
  test("goes on where the registry has it after a break", async () => {
    await using registry = TestRegistry.start();
    registry.breakUploads(1, { at: 400_000, method: "PUT" });
    expect(await clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES))).toBe(true);
    expect(await registry.hasBlob("app", BLOB.digest)).toBe(true);
    expect(sentRanges(registry)).toEqual(["400000-899999"]);
    expect(registry.openUploads).toBe(0);
  });

  test("sends nothing again when only the answer was lost", async () => {
    await using registry = TestRegistry.start({ loseUploadAnswers: 1 });
    expect(await clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES))).toBe(true);
    expect(registry.requests.map(({ method }) => method)).toEqual([
      "HEAD",
      "POST",
      "PUT",
      "GET",
      "HEAD",
    ]);
  });

  test("begins again where the registry knows nothing of broken uploads", async () => {
    await using registry = TestRegistry.start({ uploadStatus: false });
    registry.breakUploads(1, { at: 400_000, method: "PUT" });
    expect(await clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES))).toBe(true);
    expect(await registry.hasBlob("app", BLOB.digest)).toBe(true);
  });

  test("survives connections that are reset while it sends", async () => {
    await using registry = TestRegistry.start();
    await using proxy = await LatencyProxy.start({
      target: registry.host,
      resetAfterSentBytes: 300_000,
      resets: 2,
    });
    expect(await clientOf(proxy).uploadBlob(BLOB, () => piecesOf(BYTES))).toBe(true);
    expect(await registry.hasBlob("app", BLOB.digest)).toBe(true);
  });

  test("gives up in the end, and ends the registry's session", async () => {
    await using registry = TestRegistry.start();
    registry.breakUploads(100, { at: 0, method: "PUT" });
    const upload = clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES));
    await expect(upload).rejects.toMatchObject({ kind: "unavailable" });
    expect(registry.openUploads).toBe(0);
  });

  test("goes over to chunks where one piece is refused", async () => {
    await using registry = TestRegistry.start({ refusePut: 405 });
    expect(await clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES))).toBe(true);
    expect(sentRanges(registry)).toEqual(["0-899999"]);
    expect(registry.openUploads).toBe(0);
  });
});

describe("RegistryClient.uploadBlob() in chunks", () => {
  const options = { chunkBytes: 200_000 };

  test("sends chunks one after another", async () => {
    await using registry = TestRegistry.start();
    await clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES), {
      chunkBytes: 524_288,
    });
    expect(sentRanges(registry)).toEqual(["0-524287", "524288-899999"]);
    expect(await registry.hasBlob("app", BLOB.digest)).toBe(true);
  });

  test("sends no chunk below the registry's minimum but the last", async () => {
    await using registry = TestRegistry.start({ chunkMinBytes: 350_000 });
    await clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES), options);
    expect(sentRanges(registry)).toEqual(["0-349999", "350000-699999", "700000-899999"]);
  });

  test("goes on in the middle of a chunk that broke", async () => {
    await using registry = TestRegistry.start({ chunkMinBytes: 300_000 });
    registry.breakUploads(1, { at: 100_000, method: "PATCH" });
    let opened = 0;
    const open = () => {
      opened += 1;
      return piecesOf(BYTES);
    };
    await clientOf(registry).uploadBlob(BLOB, open, options);
    expect(sentRanges(registry)).toEqual([
      "0-299999",
      "100000-399999",
      "400000-699999",
      "700000-899999",
    ]);
    expect(opened).toBe(2);
    expect(await registry.hasBlob("app", BLOB.digest)).toBe(true);
  });

  test("reads its source once when nothing breaks", async () => {
    await using registry = TestRegistry.start();
    let opened = 0;
    const open = () => {
      opened += 1;
      return piecesOf(BYTES);
    };
    await clientOf(registry).uploadBlob(BLOB, open, options);
    expect(opened).toBe(1);
  });

  test("never ends an upload of wrong bytes", async () => {
    await using registry = TestRegistry.start();
    const wrong = sampleBytes(BYTES.length, 10);
    const upload = clientOf(registry).uploadBlob(BLOB, () => piecesOf(wrong), options);
    await expect(upload).rejects.toMatchObject({ kind: "data-loss" });
    expect(registry.requests.filter(({ method }) => method === "PUT")).toEqual([]);
    expect(registry.openUploads).toBe(0);
  });

  test("refuses a registry that holds more than it was sent", async () => {
    await using registry = TestRegistry.start();
    registry.failNext(1, { status: 202, method: "PATCH", headers: { range: "0-899999" } });
    const upload = clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES), options);
    await expect(upload).rejects.toMatchObject({ kind: "failed-precondition" });
  });
});

describe("RegistryClient.uploadBlob() and mounts", () => {
  const { repository: mountFrom } = parseReference("localhost/base");

  test("sends nothing when the registry mounts the blob", async () => {
    await using registry = TestRegistry.start();
    await registry.addBlob("base", BYTES);
    let opened = 0;
    const open = () => {
      opened += 1;
      return piecesOf(BYTES);
    };
    expect(await clientOf(registry).uploadBlob(BLOB, open, { mountFrom })).toBe(false);
    expect([opened, await registry.hasBlob("app", BLOB.digest)]).toEqual([0, true]);
  });

  test("uses the session of a mount that was not done", async () => {
    await using registry = TestRegistry.start({ mounts: "ignored" });
    expect(await clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES), { mountFrom })).toBe(
      true,
    );
    expect(registry.requests.map(({ method }) => method)).toEqual(["HEAD", "POST", "PUT"]);
  });

  test("sends the blob where mounts are forbidden", async () => {
    await using registry = TestRegistry.start({ mounts: "forbidden" });
    expect(await clientOf(registry).uploadBlob(BLOB, () => piecesOf(BYTES), { mountFrom })).toBe(
      true,
    );
  });
});

describe("RegistryClient.uploadBlob() when aborted", () => {
  test.each([
    { title: "in one piece", options: {} },
    { title: "in chunks", options: { chunkBytes: 200_000 } },
  ])("throws the reason and ends the registry's session: $title", async ({ options }) => {
    await using registry = TestRegistry.start();
    const controller = new AbortController();
    const reason = new Error("enough");
    async function* open(): AsyncGenerator<Uint8Array> {
      yield BYTES.subarray(0, 500_000);
      await Bun.sleep(20);
      controller.abort(reason);
      await Bun.sleep(20);
      yield BYTES.subarray(500_000);
    }
    const upload = clientOf(registry).uploadBlob(BLOB, open, {
      ...options,
      signal: controller.signal,
    });
    await expect(upload).rejects.toBe(reason);
    expect(await registry.hasBlob("app", BLOB.digest)).toBe(false);
    expect(registry.openUploads).toBe(0);
  });

  test("leaves alone what cannot be cancelled", async () => {
    await using registry = TestRegistry.start({ cancelUploads: false });
    const wrong = sampleBytes(BYTES.length, 11);
    const upload = clientOf(registry).uploadBlob(BLOB, () => piecesOf(wrong));
    await expect(upload).rejects.toMatchObject({ kind: "data-loss" });
  });
});
