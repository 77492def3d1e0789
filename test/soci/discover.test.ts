import { expect, test } from "bun:test";
import { SociError } from "../../src/errors.ts";
import { createLogger, type LogRecord } from "../../src/observability/log.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import type { RepositoryName, RegistryHost } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistrySource } from "../../src/oci/registry-source.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { buildSociIndex } from "../../src/soci/build-soci-index.ts";
import {
  ALL_MODES,
  discoverSociIndex,
  type DiscoverOptions,
  type LocalIndexes,
} from "../../src/soci/discover.ts";
import { encodeSociIndex, sociIndexDescriptor } from "../../src/soci/soci-index.ts";
import { TestRegistry } from "../support/registry.ts";
import { indexArtifact } from "./sample-artifact.ts";

const REPOSITORY = "test/image";
const IMAGE_BYTES = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: {
      mediaType: "application/vnd.oci.image.config.v1+json",
      digest: digestOf("c"),
      size: 1,
    },
    layers: [],
  }),
);
const IMAGE: Descriptor = {
  mediaType: OCI_MANIFEST,
  digest: digestOf(IMAGE_BYTES),
  size: IMAGE_BYTES.length,
};
const ANNOTATION = "com.amazon.soci.index-digest";

/** Bytes of an index that differs from others by its span size. */
function indexBytes(version: "v1" | "v2", spanSize: number, imageManifest = IMAGE): Uint8Array {
  const layer = { mediaType: "m", digest: digestOf("layer"), size: 9 };
  const ztoc = { digest: digestOf("ztoc"), size: 5, layer, spanSize, disableXattrs: false };
  return encodeSociIndex(buildSociIndex([ztoc], { version, imageManifest }));
}

function localIndexes(bytes: Uint8Array): LocalIndexes {
  const digest = digestOf(bytes);
  return {
    artifacts: {
      findIndexes: (image) =>
        image === IMAGE.digest ? [indexArtifact("local", { digest, size: bytes.length })] : [],
    },
    readIndexBytes: async (wanted) => {
      if (wanted === digest) return bytes;
      throw new SociError("not-found", `no ${wanted}`);
    },
  };
}

interface Setup {
  readonly registry: TestRegistry;
  readonly discover: (more?: Partial<DiscoverOptions>) => ReturnType<typeof discoverSociIndex>;
  /** Puts an index into the registry; a v1 index refers to the image. */
  readonly push: (bytes: Uint8Array) => Digest;
}

async function withRegistry(work: (setup: Setup) => Promise<void>, referrersApi = true) {
  await using registry = TestRegistry.start({ referrersApi });
  registry.addManifest(REPOSITORY, { mediaType: OCI_MANIFEST, bytes: IMAGE_BYTES, tag: "t" });
  const reference = parseReference(`${registry.host}/${REPOSITORY}:t`);
  const client = new RegistryClient({
    registry: registry.host as RegistryHost,
    repository: REPOSITORY as RepositoryName,
  });
  await using source = new RegistrySource({ reference, client });
  await work({
    registry,
    discover: (more = {}) => discoverSociIndex({ source, imageManifest: IMAGE, ...more }),
    push: (bytes) => registry.addManifest(REPOSITORY, { mediaType: OCI_MANIFEST, bytes }).digest,
  });
}

test("discoverSociIndex() finds nothing, and says so of each origin", () =>
  withRegistry(async ({ discover }) => {
    const { found, misses } = await discover();
    expect(found).toBeUndefined();
    expect(misses.map(({ from, error }) => [from, error])).toEqual([
      ["v2-annotation", undefined],
      ["referrers", undefined],
      ["local", undefined],
    ]);
  }));

test("discoverSociIndex() finds the index that the annotation names", () =>
  withRegistry(async ({ discover, push }) => {
    const bytes = indexBytes("v2", 1);
    const { found } = await discover({ annotations: { [ANNOTATION]: push(bytes) } });
    expect(found).toMatchObject({
      from: "v2-annotation",
      descriptor: sociIndexDescriptor(bytes, "v2"),
      index: { version: "v2" },
    });
  }));

test.each([
  { title: "the Referrers API", referrersApi: true },
  { title: "the fallback tag", referrersApi: false },
])("discoverSociIndex() finds an index that refers to the image by $title", ({ referrersApi }) =>
  withRegistry(async ({ registry, discover, push }) => {
    const bytes = indexBytes("v1", 1);
    push(bytes);
    const entry = { ...sociIndexDescriptor(bytes, "v1") };
    registry.addManifest(REPOSITORY, {
      mediaType: "application/vnd.oci.image.index.v1+json",
      bytes: Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: "application/vnd.oci.image.index.v1+json",
          manifests: [entry],
        }),
      ),
      tag: IMAGE.digest.replace(":", "-"),
    });
    const { found } = await discover();
    expect(found).toMatchObject({ from: "referrers", descriptor: { digest: entry.digest } });
  }, referrersApi),
);

test("discoverSociIndex() finds a local index", () =>
  withRegistry(async ({ discover }) => {
    const bytes = indexBytes("v1", 1);
    const { found, misses } = await discover({ store: localIndexes(bytes) });
    expect(found).toMatchObject({ from: "local", descriptor: { digest: digestOf(bytes) } });
    expect(misses.map(({ from }) => from)).toEqual(["v2-annotation", "referrers"]);
  }));

test("discoverSociIndex() prefers the annotation to a referrer to a local index", () =>
  withRegistry(async ({ discover, push }) => {
    const store = localIndexes(indexBytes("v1", 1));
    push(indexBytes("v1", 2));
    const annotations = { [ANNOTATION]: push(indexBytes("v2", 3)) };
    expect((await discover({ store, annotations })).found?.from).toBe("v2-annotation");
    expect((await discover({ store })).found?.from).toBe("referrers");
  }));

test("discoverSociIndex() goes on to the next origin when one fails, and keeps the error", () =>
  withRegistry(async ({ discover, registry }) => {
    registry.failNext(100, { status: 403, path: /referrers|sha256-/ });
    const annotations = { [ANNOTATION]: digestOf("not there") };
    const { found, misses } = await discover({
      annotations,
      store: localIndexes(indexBytes("v1", 1)),
    });
    expect(found?.from).toBe("local");
    expect(misses).toMatchObject([
      { from: "v2-annotation", error: { kind: "not-found" } },
      { from: "referrers", error: { kind: "permission-denied" } },
    ]);
  }));

test("discoverSociIndex() does not use an annotation that is no digest", () =>
  withRegistry(async ({ discover }) => {
    const { misses } = await discover({ annotations: { [ANNOTATION]: "sha256:../../x" } });
    expect(misses[0]).toMatchObject({ from: "v2-annotation", error: { kind: "data-loss" } });
  }));

test("discoverSociIndex() does not use a referrer whose subject is another image", () =>
  withRegistry(async ({ discover, registry, push }) => {
    const other = { ...IMAGE, digest: digestOf("other image") };
    const bytes = indexBytes("v1", 1, other);
    push(bytes);
    registry.manners.referrersApi = false;
    registry.addManifest(REPOSITORY, {
      mediaType: "application/vnd.oci.image.index.v1+json",
      bytes: Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: "application/vnd.oci.image.index.v1+json",
          manifests: [sociIndexDescriptor(bytes, "v1")],
        }),
      ),
      tag: IMAGE.digest.replace(":", "-"),
    });
    const { found, misses } = await discover();
    expect(found).toBeUndefined();
    expect(misses[1]).toMatchObject({ from: "referrers", error: { kind: "data-loss" } });
  }));

test.each([
  { title: "v2", off: { v2: false }, from: "referrers", words: "soci v2 is disabled" },
  { title: "v1", off: { v1: false, v2: false }, from: "local", words: "soci v1 is disabled" },
  {
    title: "any origin",
    off: { v1: false, v2: false, local: false },
    from: undefined,
    words: "soci v1 is disabled",
  },
])("discoverSociIndex() does not ask $title when that is off", ({ off, from, words }) =>
  withRegistry(async ({ discover, push, registry }) => {
    const store = localIndexes(indexBytes("v1", 1));
    push(indexBytes("v1", 2));
    const annotations = { [ANNOTATION]: push(indexBytes("v2", 3)) };
    const records: LogRecord[] = [];
    const log = createLogger({ level: "debug", sink: (record) => records.push(record) });
    const modes = { ...ALL_MODES, ...off };
    const { found } = await discover({ store, annotations, modes, log });
    expect(found?.from).toBe(from);
    expect(records.map(({ message }) => message)).toContain(words);
    const asked = registry.requests.filter(({ path }) => path.includes("/referrers/"));
    expect(asked.length > 0).toBe(modes.v1);
  }),
);

test("discoverSociIndex() says step by step how it decided", () =>
  withRegistry(async ({ discover, push }) => {
    const bytes = indexBytes("v1", 2);
    push(bytes);
    const records: LogRecord[] = [];
    const log = createLogger({ level: "debug", sink: (record) => records.push(record) });
    await discover({ log });
    expect(records.map(({ message }) => message)).toEqual([
      "index digest not provided",
      "checking for soci v2 index annotation",
      "soci v2 index annotation not found",
      "checking for soci v1 index via referrers API",
      "using soci v1 index via referrers API",
      "fetching SOCI artifacts using index descriptor",
    ]);
    expect(records.at(-1)).toMatchObject({ level: "info", fields: { digest: digestOf(bytes) } });
  }));

test("discoverSociIndex() takes an explicit index although all modes are off", () =>
  withRegistry(async ({ discover, push }) => {
    const digest = push(indexBytes("v2", 1));
    const modes = { v1: false, v2: false, local: false };
    expect((await discover({ explicit: { digest }, modes })).found?.from).toBe("explicit");
  }));

test("discoverSociIndex() takes an explicit digest from the local store without a request", () =>
  withRegistry(async ({ discover, registry }) => {
    const bytes = indexBytes("v2", 1);
    const { found } = await discover({
      explicit: { digest: digestOf(bytes) },
      store: localIndexes(bytes),
    });
    expect(found?.from).toBe("explicit");
    expect(registry.requests).toEqual([]);
  }));

test("discoverSociIndex() takes an explicit digest from the image's repository", () =>
  withRegistry(async ({ discover, push }) => {
    const digest = push(indexBytes("v2", 1));
    const { found } = await discover({
      explicit: { digest },
      store: localIndexes(indexBytes("v1", 2)),
    });
    expect(found).toMatchObject({ from: "explicit", descriptor: { digest } });
  }));

test("discoverSociIndex() takes the bytes of an explicit file", () =>
  withRegistry(async ({ discover, registry }) => {
    const { found } = await discover({
      explicit: { bytes: indexBytes("v1", 1), name: "index.json" },
    });
    expect(found).toMatchObject({ from: "explicit", index: { version: "v1" } });
    expect(registry.requests).toEqual([]);
  }));

test("discoverSociIndex() fails when an explicit index is not there, whatever else is", () =>
  withRegistry(async ({ discover, push }) => {
    push(indexBytes("v1", 1));
    await expect(discover({ explicit: { digest: digestOf("none") } })).rejects.toMatchObject({
      kind: "not-found",
    });
  }));

test("discoverSociIndex() fails when an explicit file is no SOCI index", () =>
  withRegistry(async ({ discover }) => {
    await expect(
      discover({ explicit: { bytes: IMAGE_BYTES, name: "image.json" } }),
    ).rejects.toMatchObject({ kind: "unsupported" });
  }));

test("discoverSociIndex() throws the reason of an abort", () =>
  withRegistry(async ({ discover }) => {
    const abort = new AbortController();
    const found = discover({ signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(found).rejects.toThrow("enough");
  }));
