import { afterAll, expect } from "bun:test";
import type { Credentials } from "../../src/oci/credentials.ts";
import { HttpClient } from "../../src/oci/http.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { type OpenedRegistry, describeRegistryClient } from "../suite/registry-client.ts";
import { memoryBlobs } from "../support/blob-store.ts";
import { addImage, type BuiltImage } from "../support/image-builder.ts";
import { LatencyProxy, type LatencyProxyOptions } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { type ExpiredAnswer, TestStorage } from "../support/registry-storage.ts";
import { holdsSecret, MARK, spy } from "../support/secret-spy.ts";

const RETRY = { maxRetries: 6, baseMs: 1, maxMs: 5, maxRetryAfterMs: 2000 };
const CREDENTIALS = { username: "user", password: `password-${MARK}` };
// What every client of the whole suite logs.
const SPY = spy();
// So that the suite's small blobs come by several ranges, too.
const PARALLEL = {
  minBytes: 64_000,
  minLatencyMs: 0,
  rangeBytes: 40_000,
  ahead: 120_000,
  window: 200_000,
};

const MANNERS: readonly { readonly name: string; readonly manners: Partial<RegistryManners> }[] = [
  { name: "a registry as the specification has it", manners: {} },
  { name: "a registry without Referrers API", manners: { referrersApi: false } },
  { name: "a registry that sends no OCI-Subject", manners: { ociSubject: false } },
  { name: "a registry of short pages", manners: { referrersPageSize: 1 } },
  { name: "a registry that does not filter", manners: { ignoreReferrersFilter: true } },
  { name: "a registry that ignores ranges", manners: { ignoreRange: true } },
  { name: "a registry that answers ranges with 416", manners: { refuseRange: 416 } },
  { name: "a registry that answers ranges with 400", manners: { refuseRange: 400 } },
  { name: "a registry that answers ranges with 501", manners: { refuseRange: 501 } },
  { name: "a registry of multipart ranges", manners: { multipartRanges: true } },
  { name: "a registry of short ranges", manners: { maxRangeBytes: 7000 } },
  {
    name: "a registry that labels blobs as gzip",
    manners: { contentEncodingGzipOnBlobs: true },
  },
  { name: "a registry of absolute locations", manners: { relativeLocations: false } },
  { name: "a registry that wants a login", manners: { auth: { kind: "basic", ...CREDENTIALS } } },
  { name: "a registry that wants a token", manners: { auth: { kind: "bearer", ...CREDENTIALS } } },
  {
    name: "a registry whose tokens hold for a tenth of what they promise",
    manners: { auth: { kind: "bearer", ...CREDENTIALS, expiresInSeconds: 1, validSeconds: 0.1 } },
  },
  {
    name: "a registry whose clock is a day ahead",
    manners: { auth: { kind: "bearer", ...CREDENTIALS, clockAheadMs: 86_400_000 } },
  },
  {
    name: "a registry that knows passwords of a day",
    manners: { auth: { kind: "ecr", ...CREDENTIALS } },
  },
  { name: "a registry that is asked too much", manners: rateLimit() },
  { name: "a registry that takes no blob in one piece", manners: { refusePut: 405 } },
  {
    name: "a registry of chunks in a minimum size",
    manners: { refusePut: 400, chunkMinBytes: 50_000 },
  },
  {
    name: "a registry of small chunks only",
    manners: { refusePut: 413, chunkMaxBytes: 4_200_000 },
  },
  { name: "a registry that mounts nothing", manners: { mounts: "ignored" } },
  { name: "a registry that forbids mounts", manners: { mounts: "forbidden" } },
  { name: "a registry that deletes nothing", manners: { allowDelete: false, referrersApi: false } },
  { name: "a registry that closes each connection", manners: { closeConnections: true } },
  { name: "a registry that is slow to start", manners: { answerDelayMs: 5 } },
  {
    name: "a registry of ETags without meaning",
    manners: { referrersApi: false, etags: "ignored" },
  },
  {
    name: "a registry of conditional writes",
    manners: { referrersApi: false, etags: "honoured" },
  },
  {
    name: "a registry that knows nothing of broken uploads",
    manners: { uploadStatus: false, cancelUploads: false, loseUploadAnswers: 1 },
  },
];

for (const { name, manners } of MANNERS) {
  describeRegistryClient({ name, open: (image) => openRegistry(image, { manners }) });
}

const TOKENS: readonly {
  readonly name: string;
  readonly auth: RegistryManners["auth"];
  readonly credentials: Credentials;
}[] = [
  {
    name: "a registry that knows refresh tokens, and changes them",
    auth: { kind: "bearer", identityToken: `identity-${MARK}`, changesIdentityToken: true },
    credentials: { identityToken: `identity-${MARK}` },
  },
  {
    name: "a registry that takes refresh tokens for passwords",
    auth: { kind: "bearer", identityToken: `identity-${MARK}`, noGrant: 404 },
    credentials: { identityToken: `identity-${MARK}` },
  },
  {
    name: "a registry that takes the user's own token",
    auth: { kind: "bearer", registryToken: `registry-${MARK}` },
    credentials: { registryToken: `registry-${MARK}` },
  },
];
for (const { name, auth, credentials } of TOKENS) {
  describeRegistryClient({
    name,
    open: (image) => openRegistry(image, { manners: { auth }, credentials }),
  });
}

const EXPIRED: readonly ExpiredAnswer[] = [403, 404, 410, "400 ExpiredToken"];
for (const whenExpired of EXPIRED) {
  describeRegistryClient({
    name: `a registry whose signed storage expires with ${whenExpired}`,
    open: async (image) => {
      await using cleanup = new AsyncDisposableStack();
      const blobs = memoryBlobs();
      const storage = cleanup.use(new TestStorage(blobs, { whenExpired, usesPerUrl: 3 }));
      const registry = cleanup.use(
        TestRegistry.start({ redirectBlobsTo: (digest) => storage.urlOf(digest) }, blobs),
      );
      await addImage(registry, "app", { image, tag: "v1" });
      return opened(registry.host, cleanup.move());
    },
  });
}

describeRegistryClient({
  name: "a registry far away, each connection of which is reset at times",
  open: (image) => openRegistry(image, { line: { delayMs: 2, resetAfterBytes: 90_000 } }),
});

describeRegistryClient({
  name: "a registry whose first connections are reset",
  open: (image) => openRegistry(image, { line: { resetAfterBytes: 300, resets: 3 } }),
});

function rateLimit(): Partial<RegistryManners> {
  return { rateLimit: { every: 3, retryAfter: "0" } };
}

afterAll(() => {
  expect(SPY.texts.length).toBeGreaterThan(1000);
  expect(SPY.texts.filter(holdsSecret)).toEqual([]);
});

async function openRegistry(
  image: BuiltImage,
  {
    manners = {},
    credentials,
    line,
  }: {
    readonly manners?: Partial<RegistryManners>;
    readonly credentials?: Credentials;
    readonly line?: Omit<LatencyProxyOptions, "target">;
  },
): Promise<OpenedRegistry> {
  await using cleanup = new AsyncDisposableStack();
  const registry = cleanup.use(TestRegistry.start({ ...manners }));
  await addImage(registry, "app", { image, tag: "v1" });
  const { host } =
    line === undefined
      ? registry
      : cleanup.use(await LatencyProxy.start({ ...line, target: registry.host }));
  return opened(host, cleanup.move(), credentials);
}

function opened(
  host: string,
  resources: AsyncDisposableStack,
  credentials: Credentials = CREDENTIALS,
): OpenedRegistry {
  return {
    client: (name) => {
      const { registry, repository } = parseReference(`${host}/${name}`);
      return new RegistryClient({
        registry,
        repository,
        credentials,
        log: SPY.log,
        http: new HttpClient({ log: SPY.log, retry: RETRY, idleTimeoutMs: 5000 }),
        parallel: PARALLEL,
      });
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
