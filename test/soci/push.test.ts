import { expect, test } from "bun:test";
import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import type { RegistryHost, RepositoryName } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { buildSociIndex } from "../../src/soci/build-soci-index.ts";
import { type LocalStore, openLocalStore } from "../../src/soci/local-store.ts";
import { type PushEvent, type PushOptions, pushSociIndex } from "../../src/soci/push.ts";
import { encodeSociIndex, sociIndexDescriptor } from "../../src/soci/soci-index.ts";
import { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { tempDir } from "../support/temp-dir.ts";

const REPOSITORY = "test/image";
const IMAGE = { mediaType: OCI_MANIFEST, digest: digestOf("image"), size: 5 };
const TAG = IMAGE.digest.replace(":", "-");

interface Setup {
  readonly registry: TestRegistry;
  readonly store: LocalStore;
  readonly push: (digest: Digest, more?: Partial<PushOptions>) => ReturnType<typeof pushSociIndex>;
  /** Stores an index of these zTOC contents. */
  readonly create: (contents: readonly string[], version?: "v1" | "v2") => Promise<Digest>;
}

async function withSetup(
  manners: Partial<RegistryManners>,
  work: (setup: Setup) => Promise<void>,
): Promise<void> {
  await using dir = await tempDir();
  await using store = await openLocalStore({ root: dir.join("root") });
  await using registry = TestRegistry.start(manners);
  const client = new RegistryClient({
    registry: registry.host as RegistryHost,
    repository: REPOSITORY as RepositoryName,
  });
  await work({
    registry,
    store,
    push: (digest, more = {}) => pushSociIndex(digest, { client, store, ...more }),
    create: async (contents, version = "v1") => {
      const ztocs = [];
      for (const content of contents) {
        const layer = { mediaType: "m", digest: digestOf(`layer ${content}`), size: 9 };
        const options = { layer: layer.digest, spanSize: 64 };
        const { digest, size } = await store.putZtoc([Buffer.from(content)], options);
        ztocs.push({ digest, size, layer, spanSize: 64, disableXattrs: false });
      }
      const index = buildSociIndex(ztocs, { version, imageManifest: IMAGE });
      const options = {
        imageManifest: IMAGE.digest,
        imageDigest: IMAGE.digest,
        platform: "linux/amd64",
        imageName: "a",
      };
      return (await store.putIndex(index, options)).digest;
    },
  });
}

test("pushSociIndex() puts zTOCs and config, then the index", () =>
  withSetup({}, async ({ registry, push, create }) => {
    const digest = await create(["one", "two"]);
    await push(digest);
    for (const blob of ["one", "two", "{}"]) {
      expect(await registry.hasBlob(REPOSITORY, digestOf(blob))).toBe(true);
    }
    expect(registry.manifest(REPOSITORY, digest)?.mediaType).toBe(OCI_MANIFEST);
    const puts = registry.requests.filter(({ method }) => method === "PUT");
    expect(puts.at(-1)?.path).toBe(`/v2/${REPOSITORY}/manifests/${digest}`);
  }));

test("pushSociIndex() leaves the fallback tag alone where the registry lists referrers", () =>
  withSetup({}, async ({ registry, push, create }) => {
    const { referrersTag } = await push(await create(["one"]));
    expect(referrersTag).toBeUndefined();
    expect(registry.manifest(REPOSITORY, TAG)).toBeUndefined();
  }));

test("pushSociIndex() writes the fallback tag in Go's bytes where the registry does not", () =>
  withSetup({ referrersApi: false }, async ({ registry, push, create }) => {
    const [first, second] = [await create(["one"]), await create(["two"])];
    await push(first);
    await push(second);
    const entry = (digest: Digest) =>
      `{"mediaType":"${OCI_MANIFEST}","digest":"${digest}","size":${registry.manifest(REPOSITORY, digest)?.bytes.length},"annotations":{"com.amazon.soci.build-tool-identifier":"AWS SOCI CLI v0.2"},"artifactType":"application/vnd.amazon.soci.index.v1+json"}`;
    expect(Buffer.from(registry.manifest(REPOSITORY, TAG)?.bytes ?? "").toString()).toBe(
      `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[${entry(first)},${entry(second)}]}`,
    );
  }));

test("pushSociIndex() removes the fallback tag's index of before, and does without where that is refused", () =>
  withSetup({ referrersApi: false }, async ({ registry, push, create }) => {
    const one = await push(await create(["one"]));
    const two = await push(await create(["two"]));
    registry.manners.allowDelete = false;
    const three = await push(await create(["three"]));
    expect(two.referrersTag).toMatchObject({ previous: one.referrersTag?.digest, deleted: true });
    expect(three.referrersTag).toMatchObject({
      previous: two.referrersTag?.digest,
      deleted: false,
    });
  }));

test("pushSociIndex() twice changes nothing", () =>
  withSetup({ referrersApi: false }, async ({ registry, push, create }) => {
    const digest = await create(["one"]);
    await push(digest);
    const before = registry.manifest(REPOSITORY, TAG);
    const events: PushEvent[] = [];
    await push(digest, { onEvent: (event) => events.push(event) });
    expect(registry.manifest(REPOSITORY, TAG)).toEqual(before);
    expect(events.map(({ outcome }) => outcome)).toEqual([
      "skipped",
      "skipped",
      "pushing",
      "pushed",
    ]);
  }));

test("pushSociIndex() tells of each blob, the index last", () =>
  withSetup({}, async ({ push, create }) => {
    const digest = await create(["one", "two"]);
    const events: PushEvent[] = [];
    await push(digest, { onEvent: (event) => events.push(event) });
    const digests = events
      .filter(({ outcome }) => outcome === "pushed")
      .map(({ descriptor }) => descriptor.digest);
    expect(digests.slice(0, -1).sort()).toEqual(["one", "two", "{}"].map(digestOf).sort());
    expect(digests.at(-1)).toBe(digest);
  }));

test("pushSociIndex() puts no index when a zTOC fails", () =>
  withSetup({}, async ({ registry, push, create }) => {
    const digest = await create(["one", "two"]);
    registry.failNext(100, { status: 403, method: "POST" });
    await expect(push(digest)).rejects.toMatchObject({ kind: "permission-denied" });
    expect(registry.manifest(REPOSITORY, digest)).toBeUndefined();
  }));

test("pushSociIndex() asks once for each blob, all at the same time, and sends a few at a time", () =>
  withSetup({ answerDelayMs: 100 }, async ({ registry, push, create }) => {
    const digest = await create(["one", "two", "three", "four", "five"]);
    let [sending, most] = [0, 0];
    await push(digest, {
      maxConcurrentUploads: 2,
      onSend: () => {
        sending += 1;
        most = Math.max(most, sending);
        return { add: () => undefined, end: () => (sending -= 1) };
      },
    });
    const heads = registry.requests.filter(({ method }) => method === "HEAD");
    expect(heads).toHaveLength(6);
    expect(registry.requests.slice(0, 6)).toEqual(heads);
    expect(most).toBe(2);
  }));

test("pushSociIndex() refuses a v2 index", () =>
  withSetup({}, async ({ registry, push, create }) => {
    const digest = await create(["one"], "v2");
    await expect(push(digest)).rejects.toMatchObject({ kind: "failed-precondition" });
    expect(registry.requests).toEqual([]);
  }));

test("pushSociIndex() throws not-found for a zTOC that the store has lost", () =>
  withSetup({}, async ({ store, push, create }) => {
    const digest = await create(["one"]);
    unlinkSync(store.content.blobPath(digestOf("one")));
    await expect(push(digest)).rejects.toMatchObject({ kind: "not-found" });
  }));

test("pushSociIndex() throws data-loss for a zTOC of another size", () =>
  withSetup({}, async ({ store, push, create }) => {
    const digest = await create(["one"]);
    unlinkSync(store.content.blobPath(digestOf("one")));
    writeFileSync(store.content.blobPath(digestOf("one")), "more than one");
    await expect(push(digest)).rejects.toMatchObject({ kind: "data-loss" });
  }));

test("pushSociIndex() throws the reason of an abort", () =>
  withSetup({}, async ({ push, create }) => {
    const digest = await create(["one"]);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(push(digest, { signal })).rejects.toThrow("enough");
  }));

test("pushSociIndex() describes an index to the fallback tag as the Go tool did", () => {
  const fixtures = join(import.meta.dir, "..", "fixtures", "soci");
  const tag = JSON.parse(readFileSync(join(fixtures, "referrers-tag.json"), "utf8"));
  const name = "sha256-bce743f41b9703a2f38178fa933765f995083e9ddb300d195df384c79c2437de.json";
  const bytes = new Uint8Array(readFileSync(join(fixtures, name)));
  const { annotations } = JSON.parse(Buffer.from(bytes).toString());
  expect({ ...sociIndexDescriptor(bytes, "v1"), annotations }).toEqual(tag.manifests[0]);
});

test("encodeSociIndex() is what pushSociIndex() puts, byte for byte", () =>
  withSetup({}, async ({ registry, store, push, create }) => {
    const digest = await create(["one"]);
    await push(digest);
    const put = registry.manifest(REPOSITORY, digest)?.bytes;
    expect(Buffer.from(put ?? "")).toEqual(
      Buffer.from(encodeSociIndex(await store.readIndex(digest))),
    );
  }));
