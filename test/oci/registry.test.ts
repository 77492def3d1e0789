import { describe, expect, test } from "bun:test";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST, OCTET_STREAM } from "../../src/oci/media-types.ts";
import { collect } from "../suite/image-source.ts";
import { addImage, buildLayer } from "../support/image-builder.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { clientOf, IMAGE, LAYER, startRegistry, V1 } from "./registry-fixture.ts";

describe("RegistryClient.getManifest()", () => {
  test("gets a tag in one request", async () => {
    await using registry = await startRegistry();
    const { descriptor } = await clientOf(registry).getManifest(V1);
    expect(descriptor).toEqual(IMAGE.descriptor);
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET /v2/app/manifests/v1",
    ]);
  });

  test("refuses bytes that have not the digest asked for", async () => {
    await using registry = await startRegistry();
    const digest = digestOf("another");
    registry.failNext(2, {
      status: 200,
      body: '{"schemaVersion":2}',
      headers: { "content-type": OCI_MANIFEST },
    });
    await expect(clientOf(registry).getManifest(digest)).rejects.toMatchObject({
      kind: "data-loss",
    });
  });

  test("refuses bytes that have not the digest the registry states", async () => {
    await using registry = await startRegistry();
    const headers = { "content-type": OCI_MANIFEST, "docker-content-digest": digestOf("another") };
    registry.failNext(2, { status: 200, body: '{"schemaVersion":2}', headers });
    await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({
      kind: "data-loss",
    });
  });

  test("asks once more, past all caches, for bytes that were wrong", async () => {
    await using registry = await startRegistry();
    registry.failNext(1, {
      status: 200,
      body: '{"schemaVersion":2}',
      headers: { "content-type": OCI_MANIFEST, "docker-content-digest": digestOf("another") },
    });
    const { descriptor } = await clientOf(registry).getManifest(V1);
    expect(descriptor).toEqual(IMAGE.descriptor);
    expect(registry.requests.map(({ headers }) => headers.get("cache-control"))).toEqual([
      null,
      "no-cache",
    ]);
  });

  test("refuses a manifest without end", async () => {
    await using endless = Bun.serve({
      port: 0,
      fetch: () =>
        new Response(
          new ReadableStream({
            pull: (controller) => {
              controller.enqueue(new Uint8Array(1 << 20));
            },
          }),
        ),
    });
    const client = clientOf({ host: `127.0.0.1:${endless.port}` });
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "data-loss" });
  });

  test.each([
    { status: 400, kind: "failed-precondition" },
    { status: 401, kind: "unauthenticated" },
    { status: 403, kind: "permission-denied" },
    { status: 404, kind: "not-found" },
    { status: 418, kind: "failed-precondition" },
    { status: 429, kind: "unavailable" },
    { status: 501, kind: "unavailable" },
    { status: 503, kind: "unavailable" },
  ])("throws $kind for status $status, with the registry's words", async ({ status, kind }) => {
    await using registry = await startRegistry();
    registry.failNext(100, { status, body: '{"errors":[{"code":"OOPS","message":"so it is"}]}' });
    await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({
      kind,
      status,
      code: "OOPS",
      message: expect.stringContaining('"so it is"'),
    });
  });

  test("tries again after 503 and 429", async () => {
    await using registry = await startRegistry();
    registry.failNext(1, { status: 503 });
    registry.failNext(1, { status: 429, headers: { "retry-after": "0" } });
    const { descriptor } = await clientOf(registry).getManifest(V1);
    expect(descriptor.digest).toBe(IMAGE.descriptor.digest);
    expect(registry.requests.map(({ status }) => status)).toEqual([503, 429, 200]);
  });

  test("waits as long as Retry-After says", async () => {
    await using registry = await startRegistry();
    registry.failNext(1, { status: 429, headers: { "retry-after": "1" } });
    const before = performance.now();
    await clientOf(registry).getManifest(V1);
    expect(performance.now() - before).toBeGreaterThanOrEqual(990);
  });

  test("gives up at once when Retry-After is too long", async () => {
    await using registry = await startRegistry();
    registry.failNext(1, { status: 429, headers: { "retry-after": "3600" } });
    await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({ status: 429 });
    expect(registry.requests.length).toBe(1);
  });

  test("does not try again after 404", async () => {
    await using registry = await startRegistry();
    registry.failNext(1, { status: 404 });
    await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({
      kind: "not-found",
    });
    expect(registry.requests.length).toBe(1);
  });

  test("is unavailable when nobody listens, and names the URL", async () => {
    const gone = TestRegistry.start();
    const { host } = gone;
    await gone[Symbol.asyncDispose]();
    await expect(clientOf({ host }).getManifest(V1)).rejects.toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining(`http://${host}/v2/app/manifests/v1`),
    });
  });

  test("is unavailable when the registry is silent", async () => {
    await using silent = Bun.serve({
      port: 0,
      fetch: () => new Promise<Response>(() => undefined),
    });
    const client = clientOf({ host: `127.0.0.1:${silent.port}` }, { idleTimeoutMs: 30 });
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "unavailable" });
  });

  test("throws the signal's reason", async () => {
    await using silent = Bun.serve({
      port: 0,
      fetch: () => new Promise<Response>(() => undefined),
    });
    const reason = new Error("no more");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 20);
    const client = clientOf({ host: `127.0.0.1:${silent.port}` });
    await expect(client.getManifest(V1, { signal: controller.signal })).rejects.toBe(reason);
  });
});

describe("RegistryClient.getBlob()", () => {
  test("goes on where the connection broke", async () => {
    await using registry = await startRegistry();
    registry.cutNext(3, { at: 100_000 });
    const got = await collect(clientOf(registry).getBlob(LAYER.descriptor));
    expect(got.equals(LAYER.bytes)).toBe(true);
    const { size } = LAYER.descriptor;
    expect(registry.requests.map(({ range }) => range)).toEqual([
      undefined,
      `bytes=100000-${size - 1}`,
      `bytes=200000-${size - 1}`,
      `bytes=300000-${size - 1}`,
    ]);
  });

  test("goes on also where ranges are not done", async () => {
    await using registry = await startRegistry({ ignoreRange: true });
    registry.cutNext(1, { at: 100_000 });
    const got = await collect(clientOf(registry).getBlob(LAYER.descriptor));
    expect(got.equals(LAYER.bytes)).toBe(true);
  });

  test("gives up when nothing more comes", async () => {
    await using registry = await startRegistry();
    registry.cutNext(1000, { at: 0 });
    await expect(collect(clientOf(registry).getBlob(LAYER.descriptor))).rejects.toMatchObject({
      kind: "unavailable",
    });
  });

  test("does not hand out a byte of a small blob that is damaged", async () => {
    await using registry = await startRegistry();
    registry.corruptNext(2, { at: 0 });
    let got = 0;
    const read = async (): Promise<void> => {
      for await (const chunk of clientOf(registry).getBlob(LAYER.descriptor)) {
        got += chunk.length;
      }
    };
    await expect(read()).rejects.toMatchObject({ kind: "data-loss" });
    expect(got).toBe(0);
  });

  test("fetches a small blob once more when it was damaged", async () => {
    await using registry = await startRegistry();
    registry.corruptNext(1, { at: 0 });
    const got = await collect(clientOf(registry).getBlob(LAYER.descriptor));
    expect(got.equals(LAYER.bytes)).toBe(true);
    expect(registry.requests.length).toBe(2);
  });

  test("does not hand out the last chunk of a large blob that is damaged", async () => {
    await using registry = TestRegistry.start();
    const bytes = sampleBytes(5_000_000);
    const digest = await registry.addBlob("app", bytes);
    registry.corruptNext(1, { at: 0 });
    let got = 0;
    const read = async (): Promise<void> => {
      const blob = { mediaType: OCTET_STREAM, digest, size: bytes.length };
      for await (const chunk of clientOf(registry).getBlob(blob)) {
        got += chunk.length;
      }
    };
    await expect(read()).rejects.toMatchObject({ kind: "data-loss" });
    expect(got).toBeLessThan(bytes.length);
  });

  test.each([{ resetAfterBytes: 50_000 }, { resetAfterBytes: 250_000 }])(
    "gets whole over connections that are reset after $resetAfterBytes bytes",
    async ({ resetAfterBytes }) => {
      await using registry = await startRegistry();
      await using proxy = await LatencyProxy.start({ target: registry.host, resetAfterBytes });
      const got = await collect(clientOf(proxy).getBlob(LAYER.descriptor));
      expect(got.equals(LAYER.bytes)).toBe(true);
    },
  );

  test.each([{ resetAfterBytes: 0 }, { resetAfterBytes: 1 }, { resetAfterBytes: 100 }])(
    "gives up when every connection is reset after $resetAfterBytes bytes",
    async ({ resetAfterBytes }) => {
      await using registry = await startRegistry();
      await using proxy = await LatencyProxy.start({ target: registry.host, resetAfterBytes });
      const read = collect(clientOf(proxy).getBlob(LAYER.descriptor));
      await expect(read).rejects.toMatchObject({ kind: "unavailable" });
    },
  );

  test("does not decode a blob that is labelled as gzip", async () => {
    await using registry = TestRegistry.start({ contentEncodingGzipOnBlobs: true });
    const blob = await buildLayer({ entries: [{ name: "a", content: "a" }] });
    await registry.addBlob("app", blob.bytes);
    const got = await collect(clientOf(registry).getBlob(blob.descriptor));
    expect(got.equals(blob.bytes)).toBe(true);
  });
});

describe("RegistryClient.getBlobRange()", () => {
  test("costs one request and no byte more", async () => {
    await using registry = await startRegistry();
    const client = clientOf(registry);
    await collect(client.getBlobRange(LAYER.descriptor, { start: 100, end: 4100 }));
    expect(client.stats).toEqual({ requests: 1, bytes: 4000 });
  });

  test("refuses a blob of another size", async () => {
    await using registry = await startRegistry();
    const wrong = { ...LAYER.descriptor, size: LAYER.descriptor.size + 10 };
    const read = collect(clientOf(registry).getBlobRange(wrong, { start: 0, end: 10 }));
    await expect(read).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("refuses a range that the blob has not", async () => {
    await using registry = await startRegistry();
    const { descriptor } = LAYER;
    const wrong = { ...descriptor, size: descriptor.size * 3 };
    const range = { start: descriptor.size * 2, end: descriptor.size * 2 + 5 };
    await expect(collect(clientOf(registry).getBlobRange(wrong, range))).rejects.toMatchObject({
      kind: "data-loss",
    });
  });

  test("refuses another range than it asked for", async () => {
    await using registry = await startRegistry();
    registry.failNext(1, {
      status: 206,
      body: "0123456789",
      headers: { "content-range": `bytes 50-59/${LAYER.descriptor.size}` },
    });
    const read = collect(clientOf(registry).getBlobRange(LAYER.descriptor, { start: 0, end: 10 }));
    await expect(read).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("refuses several ranges in one answer", async () => {
    await using registry = await startRegistry();
    const headers = { "content-type": "multipart/byteranges; boundary=x" };
    registry.failNext(1, { status: 206, body: "--x\r\n", headers });
    const read = collect(clientOf(registry).getBlobRange(LAYER.descriptor, { start: 0, end: 10 }));
    await expect(read).rejects.toMatchObject({ kind: "failed-precondition" });
  });

  test("leaves credentials behind when it is sent elsewhere", async () => {
    await using store = TestRegistry.start();
    await addImage(store, "store", { image: IMAGE });
    await using registry = await startRegistry({
      auth: { kind: "bearer" },
      redirectBlobsTo: `${store.url}/v2/store/blobs/`,
    });
    await collect(clientOf(registry).getBlobRange(LAYER.descriptor, { start: 0, end: 10 }));
    expect(registry.requests.at(-1)?.authorization).toStartWith("Bearer ");
    expect(store.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test("gives up on redirects without end", async () => {
    await using registry = await startRegistry();
    registry.manners.redirectBlobsTo = `${registry.url}/v2/app/blobs/`;
    const read = collect(clientOf(registry).getBlobRange(LAYER.descriptor, { start: 0, end: 10 }));
    await expect(read).rejects.toMatchObject({ kind: "failed-precondition" });
    expect(registry.requests.length).toBe(11);
  });

  test.each([
    { title: "without Location", location: undefined },
    { title: "to another protocol", location: "file:///etc/passwd" },
  ])("refuses a redirect $title", async ({ location }) => {
    await using registry = await startRegistry();
    registry.failNext(1, { status: 302, headers: location === undefined ? {} : { location } });
    const read = collect(clientOf(registry).getBlobRange(LAYER.descriptor, { start: 0, end: 10 }));
    await expect(read).rejects.toMatchObject({ kind: "failed-precondition" });
  });
});

describe("RegistryClient and authentication", () => {
  const credentials = { username: "user", password: "pa:ss wörd" };

  test("gets one anonymous token for parallel requests of one scope", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer" } });
    const client = clientOf(registry);
    await Promise.all([1, 2, 3, 4].map(() => client.getManifest(V1)));
    const tokens = registry.requests.filter(({ path }) => path.startsWith("/token"));
    expect(tokens.map(({ path }) => new URL(path, registry.url).searchParams.get("scope"))).toEqual(
      ["repository:app:pull"],
    );
    expect(new URL(tokens[0]?.path ?? "", registry.url).searchParams.get("service")).toBe(
      "test, registry",
    );
  });

  test("renews a token that the registry no longer takes", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer" } });
    const client = clientOf(registry);
    await client.getManifest(V1);
    registry.revokeTokens();
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
  });

  test("sends credentials to the token service", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer", ...credentials } });
    const client = clientOf(registry, { credentials });
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
  });

  test("logs in by Basic only after it was asked to", async () => {
    await using registry = await startRegistry({ auth: { kind: "basic", ...credentials } });
    const client = clientOf(registry, { credentials });
    await client.getManifest(V1);
    await client.getManifest(V1);
    expect(registry.requests.map(({ status }) => status)).toEqual([401, 200, 200]);
  });

  test("is unauthenticated with wrong credentials, and asks no more than twice", async () => {
    await using registry = await startRegistry({
      auth: { kind: "basic", username: "a", password: "b" },
    });
    const client = clientOf(registry, { credentials });
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "unauthenticated" });
    expect(registry.requests.length).toBe(2);
  });

  test("is unauthenticated without credentials", async () => {
    await using registry = await startRegistry({ auth: { kind: "basic", ...credentials } });
    await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({
      kind: "unauthenticated",
    });
  });

  test("never names a secret in an error", async () => {
    await using registry = await startRegistry({
      auth: { kind: "bearer", username: "a", password: "b" },
    });
    const client = clientOf(registry, { credentials });
    const error: unknown = await client.getManifest(V1).catch((reason: unknown) => reason);
    const basic = Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64");
    const text = Bun.inspect(error, { depth: 20 });
    expect(text).toContain("unauthenticated");
    expect([text.includes(credentials.password), text.includes(basic)]).toEqual([false, false]);
  });
});
