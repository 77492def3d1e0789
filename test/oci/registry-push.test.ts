import { describe, expect, test } from "bun:test";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { OCI_INDEX, OCI_MANIFEST, OCTET_STREAM } from "../../src/oci/media-types.ts";
import { referrersTag } from "../../src/oci/referrers-tag.ts";
import { collect } from "../suite/image-source.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { clientOf, IMAGE, startRegistry, V1 } from "./registry-fixture.ts";

const ARTIFACT = "application/vnd.test.index.v1+json";

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
      await using registry = await startRegistry({ referrersApi });
      const { bytes, mediaType } = await referrerOf(registry);
      const { subject } = await clientOf(registry).putManifest(bytes, { mediaType });
      expect(subject).toBe(referrersApi ? IMAGE.descriptor.digest : undefined);
    }
  });

  test("puts it under its digest or a tag", async () => {
    await using registry = await startRegistry();
    const { bytes, mediaType } = await referrerOf(registry);
    const client = clientOf(registry);
    const { digest } = await client.putManifest(bytes, { mediaType });
    await client.putManifest(bytes, { mediaType, reference: V1 });
    expect((await client.getManifest(V1)).descriptor.digest).toBe(digest);
  });
});

describe("RegistryClient.referrers()", () => {
  const expected = IMAGE.descriptor.digest;

  test.each([
    { title: "by the API", manners: {} },
    { title: "by an API that does not filter", manners: { ignoreReferrersFilter: true } },
    { title: "by an API of pages", manners: { referrersPageSize: 1 } },
    { title: "by the fallback tag", manners: { referrersApi: false } },
  ])("finds those of its type $title", async ({ manners }) => {
    await using registry = await startRegistry(manners);
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
    await using registry = await startRegistry({ referrersApi: false });
    await using proxy = await LatencyProxy.start({ target: registry.host, delayMs: 100 });
    const before = performance.now();
    expect(await clientOf(proxy).referrers(expected, ARTIFACT)).toEqual([]);
    expect(performance.now() - before).toBeLessThan(190);
  });

  test("throws when the API fails for a while", async () => {
    await using registry = await startRegistry();
    registry.failNext(100, { status: 500, path: /referrers/ });
    await expect(clientOf(registry).referrers(expected, ARTIFACT)).rejects.toMatchObject({
      kind: "unavailable",
    });
  });

  test("takes a web page in the place of an answer for no API", async () => {
    await using registry = await startRegistry();
    registry.failNext(1, {
      status: 200,
      body: "<html>",
      path: /referrers/,
      headers: { "content-type": "text/html" },
    });
    expect(await clientOf(registry).referrers(expected, ARTIFACT)).toEqual([]);
  });

  test("refuses pages on another host", async () => {
    await using registry = await startRegistry();
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
    await using registry = await startRegistry();
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
    const registry = await startRegistry({ ...manners, ...more });
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
    const subject = IMAGE.descriptor.digest;
    const one = await client.updateReferrersTag({ subject, referrer: first });
    const two = await client.updateReferrersTag({ subject, referrer: second });
    expect(two).toMatchObject({ previous: one.digest, deleted: true });
    expect(await client.referrers(subject, ARTIFACT)).toEqual([first, second]);
    expect(registry.manifest("app", one.digest)).toBeUndefined();
  });

  test("replaces an entry of the same digest", async () => {
    await using registry = await withEntries();
    const client = clientOf(registry);
    const subject = IMAGE.descriptor.digest;
    const changed = { ...first, annotations: { a: "b" } };
    await client.updateReferrersTag({ subject, referrer: first });
    await client.updateReferrersTag({ subject, referrer: second });
    await client.updateReferrersTag({ subject, referrer: changed });
    expect(await client.referrers(subject, ARTIFACT)).toEqual([changed, second]);
  });

  test("does not remove an index that did not change", async () => {
    await using registry = await withEntries();
    const client = clientOf(registry);
    const subject = IMAGE.descriptor.digest;
    await client.updateReferrersTag({ subject, referrer: first });
    const again = await client.updateReferrersTag({ subject, referrer: first });
    expect(again).toMatchObject({ previous: undefined, deleted: false });
    expect(registry.manifest("app", referrersTag(subject))).toBeDefined();
  });

  test("goes on where the registry removes nothing", async () => {
    await using registry = await withEntries({ allowDelete: false });
    const client = clientOf(registry);
    const subject = IMAGE.descriptor.digest;
    await client.updateReferrersTag({ subject, referrer: first });
    const update = await client.updateReferrersTag({ subject, referrer: second });
    expect(update.deleted).toBe(false);
  });

  test("writes the document that the caller encodes", async () => {
    await using registry = await withEntries();
    const subject = IMAGE.descriptor.digest;
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
    subject: IMAGE.descriptor,
    annotations: { number: String(number) },
  };
  return { bytes: new TextEncoder().encode(JSON.stringify(manifest)), mediaType: OCI_MANIFEST };
}

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size);
  }
}
