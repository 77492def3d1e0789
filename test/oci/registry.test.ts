import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { HttpClient } from "../../src/oci/http.ts";
import { OCI_INDEX, OCI_MANIFEST, OCTET_STREAM } from "../../src/oci/media-types.ts";
import { parseReference, type TagName } from "../../src/oci/reference.ts";
import { referrersTag } from "../../src/oci/referrers-tag.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import type { Credentials } from "../../src/oci/registry-auth.ts";
import { collect } from "../suite/image-source.ts";
import { addImage, type BuiltImage, buildImage, buildLayer } from "../support/image-builder.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { type RegistryManners, TestRegistry } from "../support/registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";

const ARTIFACT = "application/vnd.test.index.v1+json";
// Quick, so that giving up does not take long.
const RETRY = { maxRetries: 3, baseMs: 1, maxMs: 5, maxRetryAfterMs: 2000 };

let image: BuiltImage;

beforeAll(async () => {
  image = await buildImage({
    layers: [{ entries: [{ name: "a", content: sampleBytes(600_000) }], compression: "none" }],
  });
});

function clientOf(
  registry: { readonly host: string },
  {
    credentials,
    idleTimeoutMs = 5000,
  }: { readonly credentials?: Credentials; readonly idleTimeoutMs?: number } = {},
): RegistryClient {
  const { registry: host, repository } = parseReference(`${registry.host}/app`);
  const http = new HttpClient({ retry: RETRY, idleTimeoutMs });
  return new RegistryClient({ registry: host, repository, http, credentials });
}

async function started(manners: Partial<RegistryManners> = {}): Promise<TestRegistry> {
  const registry = TestRegistry.start(manners);
  await addImage(registry, "app", { image, tag: "v1" });
  return registry;
}

function layer(): { readonly descriptor: Descriptor; readonly bytes: Uint8Array } {
  const [first] = image.layers;
  if (first === undefined) {
    throw new Error("the image has no layer");
  }
  return first;
}

function tag(): TagName {
  const { tag: named } = parseReference("app:v1");
  if (named === undefined) {
    throw new Error("the name has no tag");
  }
  return named;
}

describe("RegistryClient.getManifest()", () => {
  test("gets a tag in one request", async () => {
    await using registry = await started();
    const { descriptor } = await clientOf(registry).getManifest(tag());
    expect(descriptor).toEqual(image.descriptor);
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET /v2/app/manifests/v1",
    ]);
  });

  test("refuses bytes that have not the digest asked for", async () => {
    await using registry = await started();
    const digest = digestOf("another");
    registry.failNext(1, {
      status: 200,
      body: '{"schemaVersion":2}',
      headers: { "content-type": OCI_MANIFEST },
    });
    await expect(clientOf(registry).getManifest(digest)).rejects.toMatchObject({
      kind: "data-loss",
    });
  });

  test("refuses bytes that have not the digest the registry states", async () => {
    await using registry = await started();
    const headers = { "content-type": OCI_MANIFEST, "docker-content-digest": digestOf("another") };
    registry.failNext(1, { status: 200, body: '{"schemaVersion":2}', headers });
    await expect(clientOf(registry).getManifest(tag())).rejects.toMatchObject({
      kind: "data-loss",
    });
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
    await expect(client.getManifest(tag())).rejects.toMatchObject({ kind: "data-loss" });
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
    await using registry = await started();
    registry.failNext(100, { status, body: '{"errors":[{"code":"OOPS","message":"so it is"}]}' });
    await expect(clientOf(registry).getManifest(tag())).rejects.toMatchObject({
      kind,
      status,
      code: "OOPS",
      message: expect.stringContaining('"so it is"'),
    });
  });

  test("tries again after 503 and 429", async () => {
    await using registry = await started();
    registry.failNext(1, { status: 503 });
    registry.failNext(1, { status: 429, headers: { "retry-after": "0" } });
    const { descriptor } = await clientOf(registry).getManifest(tag());
    expect(descriptor.digest).toBe(image.descriptor.digest);
    expect(registry.requests.map(({ status }) => status)).toEqual([503, 429, 200]);
  });

  test("waits as long as Retry-After says", async () => {
    await using registry = await started();
    registry.failNext(1, { status: 429, headers: { "retry-after": "1" } });
    const before = performance.now();
    await clientOf(registry).getManifest(tag());
    expect(performance.now() - before).toBeGreaterThanOrEqual(990);
  });

  test("gives up at once when Retry-After is too long", async () => {
    await using registry = await started();
    registry.failNext(1, { status: 429, headers: { "retry-after": "3600" } });
    await expect(clientOf(registry).getManifest(tag())).rejects.toMatchObject({ status: 429 });
    expect(registry.requests.length).toBe(1);
  });

  test("does not try again after 404", async () => {
    await using registry = await started();
    registry.failNext(1, { status: 404 });
    await expect(clientOf(registry).getManifest(tag())).rejects.toMatchObject({
      kind: "not-found",
    });
    expect(registry.requests.length).toBe(1);
  });

  test("is unavailable when nobody listens, and names the URL", async () => {
    const gone = TestRegistry.start();
    const { host } = gone;
    await gone[Symbol.asyncDispose]();
    await expect(clientOf({ host }).getManifest(tag())).rejects.toMatchObject({
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
    await expect(client.getManifest(tag())).rejects.toMatchObject({ kind: "unavailable" });
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
    await expect(client.getManifest(tag(), { signal: controller.signal })).rejects.toBe(reason);
  });
});

describe("RegistryClient.getBlob()", () => {
  test("goes on where the connection broke", async () => {
    await using registry = await started();
    registry.cutNext(3, { at: 100_000 });
    const got = await collect(clientOf(registry).getBlob(layer().descriptor));
    expect(got.equals(layer().bytes)).toBe(true);
    const { size } = layer().descriptor;
    expect(registry.requests.map(({ range }) => range)).toEqual([
      undefined,
      `bytes=100000-${size - 1}`,
      `bytes=200000-${size - 1}`,
      `bytes=300000-${size - 1}`,
    ]);
  });

  test("goes on also where ranges are not done", async () => {
    await using registry = await started({ ignoreRange: true });
    registry.cutNext(1, { at: 100_000 });
    const got = await collect(clientOf(registry).getBlob(layer().descriptor));
    expect(got.equals(layer().bytes)).toBe(true);
  });

  test("gives up when nothing more comes", async () => {
    await using registry = await started();
    registry.cutNext(1000, { at: 0 });
    await expect(collect(clientOf(registry).getBlob(layer().descriptor))).rejects.toMatchObject({
      kind: "unavailable",
    });
  });

  test("does not hand out the last chunk of a damaged blob", async () => {
    await using registry = await started();
    registry.corruptNext(1, { at: 0 });
    let got = 0;
    const read = async (): Promise<void> => {
      for await (const chunk of clientOf(registry).getBlob(layer().descriptor)) {
        got += chunk.length;
      }
    };
    await expect(read()).rejects.toMatchObject({ kind: "data-loss" });
    expect(got).toBeLessThan(layer().descriptor.size);
  });

  test.each([{ resetAfterBytes: 50_000 }, { resetAfterBytes: 250_000 }])(
    "gets whole over connections that are reset after $resetAfterBytes bytes",
    async ({ resetAfterBytes }) => {
      await using registry = await started();
      await using proxy = await LatencyProxy.start({ target: registry.host, resetAfterBytes });
      const got = await collect(clientOf(proxy).getBlob(layer().descriptor));
      expect(got.equals(layer().bytes)).toBe(true);
    },
  );

  test.each([{ resetAfterBytes: 0 }, { resetAfterBytes: 1 }, { resetAfterBytes: 100 }])(
    "gives up when every connection is reset after $resetAfterBytes bytes",
    async ({ resetAfterBytes }) => {
      await using registry = await started();
      await using proxy = await LatencyProxy.start({ target: registry.host, resetAfterBytes });
      const read = collect(clientOf(proxy).getBlob(layer().descriptor));
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
    await using registry = await started();
    const client = clientOf(registry);
    await collect(client.getBlobRange(layer().descriptor, { start: 100, end: 4100 }));
    expect(client.stats).toEqual({ requests: 1, bytes: 4000 });
  });

  test("refuses a blob of another size", async () => {
    await using registry = await started();
    const wrong = { ...layer().descriptor, size: layer().descriptor.size + 10 };
    const read = collect(clientOf(registry).getBlobRange(wrong, { start: 0, end: 10 }));
    await expect(read).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("refuses a range that the blob has not", async () => {
    await using registry = await started();
    const { descriptor } = layer();
    const wrong = { ...descriptor, size: descriptor.size * 3 };
    const range = { start: descriptor.size * 2, end: descriptor.size * 2 + 5 };
    await expect(collect(clientOf(registry).getBlobRange(wrong, range))).rejects.toMatchObject({
      kind: "data-loss",
    });
  });

  test("refuses another range than it asked for", async () => {
    await using registry = await started();
    registry.failNext(1, {
      status: 206,
      body: "0123456789",
      headers: { "content-range": `bytes 50-59/${layer().descriptor.size}` },
    });
    const read = collect(
      clientOf(registry).getBlobRange(layer().descriptor, { start: 0, end: 10 }),
    );
    await expect(read).rejects.toMatchObject({ kind: "data-loss" });
  });

  test("refuses several ranges in one answer", async () => {
    await using registry = await started();
    const headers = { "content-type": "multipart/byteranges; boundary=x" };
    registry.failNext(1, { status: 206, body: "--x\r\n", headers });
    const read = collect(
      clientOf(registry).getBlobRange(layer().descriptor, { start: 0, end: 10 }),
    );
    await expect(read).rejects.toMatchObject({ kind: "failed-precondition" });
  });

  test("leaves credentials behind when it is sent elsewhere", async () => {
    await using store = TestRegistry.start();
    await addImage(store, "store", { image });
    await using registry = await started({
      auth: { kind: "bearer" },
      redirectBlobsTo: `${store.url}/v2/store/blobs/`,
    });
    await collect(clientOf(registry).getBlobRange(layer().descriptor, { start: 0, end: 10 }));
    expect(registry.requests.at(-1)?.authorization).toStartWith("Bearer ");
    expect(store.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test("gives up on redirects without end", async () => {
    await using registry = await started();
    registry.manners.redirectBlobsTo = `${registry.url}/v2/app/blobs/`;
    const read = collect(
      clientOf(registry).getBlobRange(layer().descriptor, { start: 0, end: 10 }),
    );
    await expect(read).rejects.toMatchObject({ kind: "failed-precondition" });
    expect(registry.requests.length).toBe(11);
  });

  test.each([
    { title: "without Location", location: undefined },
    { title: "to another protocol", location: "file:///etc/passwd" },
  ])("refuses a redirect $title", async ({ location }) => {
    await using registry = await started();
    registry.failNext(1, { status: 302, headers: location === undefined ? {} : { location } });
    const read = collect(
      clientOf(registry).getBlobRange(layer().descriptor, { start: 0, end: 10 }),
    );
    await expect(read).rejects.toMatchObject({ kind: "failed-precondition" });
  });
});

describe("RegistryClient and authentication", () => {
  const credentials = { username: "user", password: "pa:ss wörd" };

  test("gets one anonymous token for parallel requests of one scope", async () => {
    await using registry = await started({ auth: { kind: "bearer" } });
    const client = clientOf(registry);
    await Promise.all([1, 2, 3, 4].map(() => client.getManifest(tag())));
    const tokens = registry.requests.filter(({ path }) => path.startsWith("/token"));
    expect(tokens.map(({ path }) => new URL(path, registry.url).searchParams.get("scope"))).toEqual(
      ["repository:app:pull"],
    );
    expect(new URL(tokens[0]?.path ?? "", registry.url).searchParams.get("service")).toBe(
      "test, registry",
    );
  });

  test("renews a token that the registry no longer takes", async () => {
    await using registry = await started({ auth: { kind: "bearer" } });
    const client = clientOf(registry);
    await client.getManifest(tag());
    registry.revokeTokens();
    expect((await client.getManifest(tag())).descriptor).toEqual(image.descriptor);
  });

  test("sends credentials to the token service", async () => {
    await using registry = await started({ auth: { kind: "bearer", ...credentials } });
    const client = clientOf(registry, { credentials });
    expect((await client.getManifest(tag())).descriptor).toEqual(image.descriptor);
  });

  test("logs in by Basic only after it was asked to", async () => {
    await using registry = await started({ auth: { kind: "basic", ...credentials } });
    const client = clientOf(registry, { credentials });
    await client.getManifest(tag());
    await client.getManifest(tag());
    expect(registry.requests.map(({ status }) => status)).toEqual([401, 200, 200]);
  });

  test("is unauthenticated with wrong credentials, and asks no more than twice", async () => {
    await using registry = await started({ auth: { kind: "basic", username: "a", password: "b" } });
    const client = clientOf(registry, { credentials });
    await expect(client.getManifest(tag())).rejects.toMatchObject({ kind: "unauthenticated" });
    expect(registry.requests.length).toBe(2);
  });

  test("is unauthenticated without credentials", async () => {
    await using registry = await started({ auth: { kind: "basic", ...credentials } });
    await expect(clientOf(registry).getManifest(tag())).rejects.toMatchObject({
      kind: "unauthenticated",
    });
  });

  test("never names a secret in an error", async () => {
    await using registry = await started({
      auth: { kind: "bearer", username: "a", password: "b" },
    });
    const client = clientOf(registry, { credentials });
    const error: unknown = await client.getManifest(tag()).catch((reason: unknown) => reason);
    const basic = Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64");
    const text = Bun.inspect(error, { depth: 20 });
    expect(text).toContain("unauthenticated");
    expect([text.includes(credentials.password), text.includes(basic)]).toEqual([false, false]);
  });
});

describe("RegistryClient.uploadBlob()", () => {
  const bytes = sampleBytes(300_000, 3);
  const blob: Descriptor = { mediaType: OCTET_STREAM, digest: digestOf(bytes), size: bytes.length };

  test.each([
    { title: "to a relative location", relativeLocations: true },
    { title: "to an absolute location", relativeLocations: false },
  ])("sends a blob $title, its query as the registry wrote it", async ({ relativeLocations }) => {
    await using registry = TestRegistry.start({ relativeLocations });
    const client = clientOf(registry);
    expect(await client.uploadBlob(blob, () => chunksOf(bytes, 7777))).toBe(true);
    expect((await collect(client.getBlob(blob))).equals(bytes)).toBe(true);
    const put = registry.requests.find(({ method }) => method === "PUT");
    expect(put?.path).toContain("?_state=a%20b%2Bc&digest=sha256");
  });

  test("sends nothing when the blob is there", async () => {
    await using registry = TestRegistry.start();
    await registry.addBlob("app", bytes);
    expect(await clientOf(registry).uploadBlob(blob, () => [bytes])).toBe(false);
    expect(registry.requests.map(({ method }) => method)).toEqual(["HEAD"]);
  });

  test("sends an empty blob", async () => {
    await using registry = TestRegistry.start();
    const empty = { mediaType: OCTET_STREAM, digest: digestOf(""), size: 0 };
    expect(await clientOf(registry).uploadBlob(empty, () => [])).toBe(true);
    expect(await registry.hasBlob("app", empty.digest)).toBe(true);
  });

  test("starts again when the upload breaks", async () => {
    await using registry = TestRegistry.start();
    registry.failNext(1, { status: 503, method: "PUT" });
    let opened = 0;
    const open = () => {
      opened += 1;
      return chunksOf(bytes, 50_000);
    };
    expect(await clientOf(registry).uploadBlob(blob, open)).toBe(true);
    expect(opened).toBe(2);
    expect(await registry.hasBlob("app", blob.digest)).toBe(true);
  });

  test.each([
    { title: "other bytes", wrong: sampleBytes(300_000, 4) },
    { title: "too few bytes", wrong: bytes.subarray(1) },
    { title: "too many bytes", wrong: Buffer.concat([bytes, bytes]) },
  ])("refuses to send $title", async ({ wrong }) => {
    await using registry = TestRegistry.start();
    const sending = clientOf(registry).uploadBlob(blob, () => chunksOf(wrong, 40_000));
    await expect(sending).rejects.toMatchObject({ kind: "data-loss" });
    expect(await registry.hasBlob("app", blob.digest)).toBe(false);
  });

  test("throws what the opener throws", async () => {
    await using registry = TestRegistry.start();
    const reason = new Error("the disk is gone");
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 1000);
      throw reason;
    }
    await expect(clientOf(registry).uploadBlob(blob, broken)).rejects.toBe(reason);
  });
});

describe("RegistryClient.putManifest()", () => {
  test("tells whether the registry listed the referrer", async () => {
    for (const referrersApi of [true, false]) {
      await using registry = await started({ referrersApi });
      const { bytes, mediaType } = await referrerOf(registry);
      const { subject } = await clientOf(registry).putManifest(bytes, { mediaType });
      expect(subject).toBe(referrersApi ? image.descriptor.digest : undefined);
    }
  });

  test("puts it under its digest or a tag", async () => {
    await using registry = await started();
    const { bytes, mediaType } = await referrerOf(registry);
    const client = clientOf(registry);
    const { digest } = await client.putManifest(bytes, { mediaType });
    await client.putManifest(bytes, { mediaType, reference: tag() });
    expect((await client.getManifest(tag())).descriptor.digest).toBe(digest);
  });
});

describe("RegistryClient.referrers()", () => {
  let expected: Digest;

  beforeEach(() => {
    expected = image.descriptor.digest;
  });

  test.each([
    { title: "by the API", manners: {} },
    { title: "by an API that does not filter", manners: { ignoreReferrersFilter: true } },
    { title: "by an API of pages", manners: { referrersPageSize: 1 } },
    { title: "by the fallback tag", manners: { referrersApi: false } },
  ])("finds those of its type $title", async ({ manners }) => {
    await using registry = await started(manners);
    const client = clientOf(registry);
    const wanted: Digest[] = [];
    for (const [number, artifactType] of [ARTIFACT, "application/other", ARTIFACT].entries()) {
      const { bytes, mediaType } = await referrerOf(registry, { artifactType, number });
      const { digest, subject } = await client.putManifest(bytes, { mediaType });
      if (subject === undefined) {
        const referrer = { mediaType, digest, size: bytes.length, artifactType };
        await client.updateReferrersTag({ subject: expected, referrer });
      }
      if (artifactType === ARTIFACT) {
        wanted.push(digest);
      }
    }
    const found = await client.referrers(expected, ARTIFACT);
    expect(found.map(({ digest }) => digest)).toEqual(wanted);
  });

  test("asks API and fallback tag at once", async () => {
    await using registry = await started({ referrersApi: false });
    await using proxy = await LatencyProxy.start({ target: registry.host, delayMs: 100 });
    const before = performance.now();
    expect(await clientOf(proxy).referrers(expected, ARTIFACT)).toEqual([]);
    expect(performance.now() - before).toBeLessThan(190);
  });

  test("throws when the API fails for a while", async () => {
    await using registry = await started();
    registry.failNext(100, { status: 500, path: /referrers/ });
    await expect(clientOf(registry).referrers(expected, ARTIFACT)).rejects.toMatchObject({
      kind: "unavailable",
    });
  });

  test("takes a web page in the place of an answer for no API", async () => {
    await using registry = await started();
    registry.failNext(1, {
      status: 200,
      body: "<html>",
      path: /referrers/,
      headers: { "content-type": "text/html" },
    });
    expect(await clientOf(registry).referrers(expected, ARTIFACT)).toEqual([]);
  });

  test("refuses pages on another host", async () => {
    await using registry = await started();
    registry.failNext(1, {
      status: 200,
      path: /referrers/,
      body: JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }),
      headers: { "content-type": OCI_INDEX, link: '<http://127.0.0.1:1/x>; rel="next"' },
    });
    await expect(clientOf(registry).referrers(expected, ARTIFACT)).rejects.toMatchObject({
      kind: "failed-precondition",
    });
  });

  test("gives up on pages without end", async () => {
    await using registry = await started();
    registry.failNext(1000, {
      status: 200,
      path: /referrers/,
      body: JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }),
      headers: { "content-type": OCI_INDEX, link: '</v2/app/referrers/x>; rel="next"' },
    });
    await expect(clientOf(registry).referrers(expected, ARTIFACT)).rejects.toMatchObject({
      kind: "data-loss",
    });
  });
});

describe("RegistryClient.updateReferrersTag()", () => {
  const manners = { referrersApi: false };
  const first = { mediaType: OCI_MANIFEST, digest: digestOf("1"), size: 1, artifactType: ARTIFACT };
  const second = { ...first, digest: digestOf("2") };

  // Entries must exist for the registry to take the index.
  async function withEntries(more: Partial<RegistryManners> = {}): Promise<TestRegistry> {
    const registry = await started({ ...manners, ...more });
    for (const text of ["1", "2"]) {
      registry.addManifest("app", {
        mediaType: OCI_MANIFEST,
        bytes: new TextEncoder().encode(text),
      });
    }
    return registry;
  }

  test("adds to what is there and removes the index of before", async () => {
    await using registry = await withEntries();
    const client = clientOf(registry);
    const subject = image.descriptor.digest;
    const one = await client.updateReferrersTag({ subject, referrer: first });
    const two = await client.updateReferrersTag({ subject, referrer: second });
    expect(two).toMatchObject({ previous: one.digest, deleted: true });
    expect(await client.referrers(subject, ARTIFACT)).toEqual([first, second]);
    expect(registry.manifest("app", one.digest)).toBeUndefined();
  });

  test("replaces an entry of the same digest", async () => {
    await using registry = await withEntries();
    const client = clientOf(registry);
    const subject = image.descriptor.digest;
    const changed = { ...first, annotations: { a: "b" } };
    await client.updateReferrersTag({ subject, referrer: first });
    await client.updateReferrersTag({ subject, referrer: second });
    await client.updateReferrersTag({ subject, referrer: changed });
    expect(await client.referrers(subject, ARTIFACT)).toEqual([changed, second]);
  });

  test("does not remove an index that did not change", async () => {
    await using registry = await withEntries();
    const client = clientOf(registry);
    const subject = image.descriptor.digest;
    await client.updateReferrersTag({ subject, referrer: first });
    const again = await client.updateReferrersTag({ subject, referrer: first });
    expect(again).toMatchObject({ previous: undefined, deleted: false });
    expect(registry.manifest("app", referrersTag(subject))).toBeDefined();
  });

  test("goes on where the registry removes nothing", async () => {
    await using registry = await withEntries({ allowDelete: false });
    const client = clientOf(registry);
    const subject = image.descriptor.digest;
    await client.updateReferrersTag({ subject, referrer: first });
    const update = await client.updateReferrersTag({ subject, referrer: second });
    expect(update.deleted).toBe(false);
  });

  test("writes the document that the caller encodes", async () => {
    await using registry = await withEntries();
    const subject = image.descriptor.digest;
    const document = `{"mediaType":"${OCI_INDEX}","schemaVersion":2,"manifests":[${JSON.stringify(first)}]}`;
    const encode = () => new TextEncoder().encode(document);
    await clientOf(registry).updateReferrersTag({ subject, referrer: first }, { encode });
    const stored = registry.manifest("app", referrersTag(subject));
    expect(new TextDecoder().decode(stored?.bytes)).toBe(document);
  });
});

async function referrerOf(
  registry: TestRegistry,
  {
    artifactType = ARTIFACT,
    number = 0,
  }: { readonly artifactType?: string; readonly number?: number } = {},
): Promise<{ readonly bytes: Uint8Array; readonly mediaType: string }> {
  const config = new TextEncoder().encode("{}");
  await registry.addBlob("app", config);
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: artifactType, digest: digestOf(config), size: 2 },
    layers: [],
    subject: image.descriptor,
    annotations: { number: String(number) },
  };
  return { bytes: new TextEncoder().encode(JSON.stringify(manifest)), mediaType: OCI_MANIFEST };
}

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size);
  }
}
