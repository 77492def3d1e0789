import { describe, expect, test } from "bun:test";
import { HttpClient } from "../../src/oci/http.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { collect } from "../suite/image-source.ts";
import { describeRegistryClient } from "../suite/registry-client.ts";
import { addImage } from "../support/image-builder.ts";
import { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { clientOf, mirror, origin, RETRY } from "./mirror-fixture.ts";
import { IMAGE, LAYER, startRegistry, V1 } from "./registry-fixture.ts";

const RANGE = { start: 0, end: 10 };
const ARTIFACT = "application/vnd.test.index.v1+json";

function asked({ requests }: TestRegistry): readonly string[] {
  return requests.map(({ method, path }) => `${method} ${path}`);
}

async function stopped(): Promise<Pick<TestRegistry, "url">> {
  await using registry = TestRegistry.start();
  return { url: registry.url };
}

/** A manifest that refers to the image. */
function artifact(note: string): Uint8Array {
  const { config, descriptor } = IMAGE;
  return new TextEncoder().encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType: ARTIFACT,
      config: config.descriptor,
      layers: [],
      subject: descriptor,
      annotations: { note },
    }),
  );
}

describe("RegistrySession and mirrors", () => {
  test("asks the mirror, and says for which registry", async () => {
    await using near = await startRegistry();
    await using far = await startRegistry();
    const client = clientOf([mirror(near), origin(far)]);
    await client.getManifest(V1);
    await collect(client.getBlobRange(LAYER.descriptor, RANGE));
    expect(asked(near)).toEqual([
      "GET /v2/app/manifests/v1?ns=registry.example",
      `GET /v2/app/blobs/${LAYER.descriptor.digest}?ns=registry.example`,
    ]);
    expect(asked(far)).toEqual([]);
  });

  test("asks the registry for what the mirror does not have", async () => {
    await using near = TestRegistry.start();
    await using far = await startRegistry();
    const client = clientOf([mirror(near), origin(far)]);
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(asked(far)).toEqual(["GET /v2/app/manifests/v1"]);
  });

  test("asks mirrors in their order", async () => {
    await using first = TestRegistry.start();
    await using second = await startRegistry();
    await using far = await startRegistry();
    await clientOf([mirror(first), mirror(second), origin(far)]).getManifest(V1);
    expect([first, second, far].map(({ requests }) => requests.length)).toEqual([1, 1, 0]);
  });

  test("goes round a mirror that is not there", async () => {
    await using far = await startRegistry();
    const client = clientOf([mirror(await stopped()), origin(far)]);
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
  });

  test.each([401, 403, 429, 500, 503])(
    "goes round a mirror that answers %d, without a retry",
    async (status) => {
      await using near = await startRegistry();
      await using far = await startRegistry();
      near.failNext(9, { status, headers: { "retry-after": "1000" } });
      const client = clientOf([mirror(near), origin(far)]);
      expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
      expect(near.requests.length).toBe(1);
    },
  );

  test("goes round a mirror that is silent", async () => {
    await using near = await startRegistry({ answerDelayMs: 3000 });
    await using far = await startRegistry();
    const client = clientOf([mirror(near), origin(far)], { mirrorTimeoutMs: 50 });
    const before = performance.now();
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(performance.now() - before).toBeLessThan(2000);
  });

  test("leaves a mirror alone for a while that has failed", async () => {
    await using near = await startRegistry();
    await using far = await startRegistry();
    near.failNext(9, { status: 503 });
    const client = clientOf([mirror(near), origin(far)]);
    await client.getManifest(V1);
    await client.getManifest(V1);
    await collect(client.getBlobRange(LAYER.descriptor, RANGE));
    expect([near.requests.length, far.requests.length]).toEqual([1, 3]);
  });

  test("leaves a mirror alone for a while that refuses our login", async () => {
    await using near = await startRegistry({
      auth: { kind: "basic", username: "a", password: "b" },
    });
    await using far = await startRegistry();
    const client = clientOf([mirror(near), origin(far)]);
    await client.getManifest(V1);
    await collect(client.getBlobRange(LAYER.descriptor, RANGE));
    expect(asked(near)).toEqual(["GET /v2/app/manifests/v1?ns=registry.example"]);
  });

  test("throws what the registry itself says in the end", async () => {
    await using near = TestRegistry.start();
    await using far = TestRegistry.start();
    far.failNext(9, { status: 403 });
    await expect(clientOf([mirror(near), origin(far)]).getManifest(V1)).rejects.toMatchObject({
      kind: "permission-denied",
    });
  });

  test("asks only who can: tags of the registry, blobs of the mirror", async () => {
    await using near = await startRegistry();
    await using far = await startRegistry();
    const client = clientOf([mirror(near, { capabilities: ["pull"] }), origin(far)]);
    await client.getManifest(V1);
    await client.getManifest(IMAGE.descriptor.digest);
    await collect(client.getBlobRange(LAYER.descriptor, RANGE));
    expect(asked(far)).toEqual(["GET /v2/app/manifests/v1"]);
    expect(near.requests.length).toBe(2);
  });

  test("uses the API where the mirror has it", async () => {
    await using near = await startRegistry();
    const paths: string[] = [];
    await using front = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (request) => {
        const { pathname } = new URL(request.url);
        paths.push(pathname);
        return fetch(`${near.url}${pathname.replace("/cache/hub", "/v2")}`);
      },
    });
    const api = new URL(`http://127.0.0.1:${front.port}/cache/hub/`);
    const { isOrigin, capabilities } = mirror(near);
    await clientOf([{ api, isOrigin, capabilities }, origin(near)]).getManifest(V1);
    expect(paths).toEqual(["/cache/hub/app/manifests/v1"]);
  });

  test("is failed-precondition where nobody may be asked", async () => {
    await using near = await startRegistry();
    const client = clientOf([mirror(near, { capabilities: ["pull"] })]);
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "failed-precondition" });
    expect(near.requests.length).toBe(0);
  });

  test("refetches a blob from the registry that the mirror has damaged", async () => {
    await using near = await startRegistry();
    await using far = await startRegistry();
    near.corruptNext(9, { at: 5 });
    const client = clientOf([mirror(near), origin(far)]);
    const got = await collect(client.getBlob(LAYER.descriptor));
    expect(got.equals(LAYER.bytes)).toBe(true);
    expect(far.requests.length).toBe(1);
  });

  test("refetches a manifest from the registry that the mirror has damaged", async () => {
    await using near = await startRegistry();
    await using far = await startRegistry();
    near.failNext(9, {
      status: 200,
      body: '{"schemaVersion":2}',
      headers: { "content-type": OCI_MANIFEST },
    });
    const client = clientOf([mirror(near), origin(far)]);
    const { bytes } = await client.getManifest(IMAGE.descriptor.digest);
    expect(Buffer.from(bytes).equals(IMAGE.manifest)).toBe(true);
  });

  test("reads on from the registry when the mirror breaks off", async () => {
    await using near = await startRegistry();
    await using far = await startRegistry();
    near.cutNext(9, { at: 0 });
    const client = clientOf([mirror(near), origin(far)]);
    const got = await collect(client.getBlob(LAYER.descriptor));
    expect(got.equals(LAYER.bytes)).toBe(true);
  });
});

describe("RegistrySession, mirrors and pushes", () => {
  test("sends a push, and all that it asks, to the registry alone", async () => {
    await using near = await startRegistry();
    await using far = TestRegistry.start({ referrersApi: false });
    const client = clientOf([mirror(near), origin(far)]);
    const { config, layers, manifest, descriptor } = IMAGE;
    for (const blob of [config, ...layers]) {
      expect(await client.uploadBlob(blob.descriptor, () => [blob.bytes])).toBe(true);
    }
    await client.putManifest(manifest, { mediaType: descriptor.mediaType, reference: V1 });
    const bytes = artifact("one");
    const { digest } = await client.putManifest(bytes, { mediaType: OCI_MANIFEST });
    const referrer = { mediaType: OCI_MANIFEST, digest, size: bytes.length };
    await client.updateReferrersTag({ subject: descriptor.digest, referrer });
    expect(asked(near)).toEqual([]);
    expect(far.manifest("app", "v1")?.bytes).toEqual(manifest);
  });

  test("pushes to the first host that takes pushes, as containerd does", async () => {
    await using near = TestRegistry.start();
    await using far = TestRegistry.start();
    const client = clientOf([mirror(near, { capabilities: ["push"] }), origin(far)]);
    await client.uploadBlob(LAYER.descriptor, () => [LAYER.bytes]);
    expect(await near.hasBlob("app", LAYER.descriptor.digest)).toBe(true);
    expect(asked(far)).toEqual([]);
  });

  test("does not push elsewhere when that host fails", async () => {
    await using far = TestRegistry.start();
    const client = clientOf([mirror(await stopped(), { capabilities: ["push"] }), origin(far)]);
    await expect(client.uploadBlob(LAYER.descriptor, () => [LAYER.bytes])).rejects.toMatchObject({
      kind: "unavailable",
    });
    expect(asked(far)).toEqual([]);
  });
});

describe("RegistrySession, mirrors and referrers", () => {
  const bytes = artifact("two");
  const mediaType = OCI_MANIFEST;

  test("takes referrers from the mirror", async () => {
    await using near = await startRegistry({ referrersPageSize: 1 });
    await using far = await startRegistry();
    for (const note of ["two", "three"]) {
      near.addManifest("app", { mediaType, bytes: artifact(note) });
    }
    const client = clientOf([mirror(near), origin(far)]);
    expect((await client.referrers(IMAGE.descriptor.digest, ARTIFACT)).length).toBe(2);
  });

  test("asks the registry when the mirror knows none", async () => {
    await using near = await startRegistry();
    await using far = await startRegistry();
    const { digest } = far.addManifest("app", { mediaType, bytes });
    const client = clientOf([mirror(near), origin(far)]);
    const found = await client.referrers(IMAGE.descriptor.digest, ARTIFACT);
    expect(found.map((descriptor) => descriptor.digest)).toEqual([digest]);
  });

  test("takes the mirror's tag when it has no list and the registry cannot be reached", async () => {
    await using near = await startRegistry({ referrersApi: false });
    const subject = IMAGE.descriptor.digest;
    const { digest, size } = near.addManifest("app", { mediaType, bytes });
    const manifests = [{ mediaType, digest, size, artifactType: ARTIFACT }];
    const tag = subject.replace(":", "-");
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
    const indexBytes = new TextEncoder().encode(JSON.stringify(index));
    near.addManifest("app", { tag, mediaType: OCI_INDEX, bytes: indexBytes });
    const client = clientOf([mirror(near), origin(await stopped())]);
    const found = await client.referrers(subject, ARTIFACT);
    expect(found.map((descriptor) => descriptor.digest)).toEqual([digest]);
  });

  test("has none when the mirror knows none and the registry cannot be reached", async () => {
    await using near = await startRegistry();
    const client = clientOf([mirror(near), origin(await stopped())]);
    expect(await client.referrers(IMAGE.descriptor.digest, ARTIFACT)).toEqual([]);
  });
});

const MIRRORS: readonly {
  readonly name: string;
  readonly manners: Partial<RegistryManners>;
  readonly holdsImage: boolean;
}[] = [
  { name: "a mirror that has nothing", manners: {}, holdsImage: false },
  { name: "a mirror that has what it needs", manners: {}, holdsImage: true },
  {
    name: "a mirror without ranges and referrers",
    manners: { ignoreRange: true, referrersApi: false },
    holdsImage: true,
  },
  {
    name: "a mirror that is asked too much",
    manners: { rateLimit: { every: 2, retryAfter: "1000" } },
    holdsImage: true,
  },
];

for (const { name, manners, holdsImage } of MIRRORS) {
  describeRegistryClient({
    name: `a registry behind ${name}`,
    open: async (image) => {
      await using cleanup = new AsyncDisposableStack();
      const near = cleanup.use(TestRegistry.start(manners));
      const far = cleanup.use(TestRegistry.start());
      await addImage(far, "app", { image, tag: "v1" });
      if (holdsImage) await addImage(near, "app", { image, tag: "v1" });
      const owned = cleanup.move();
      return {
        client: (repository) =>
          new RegistryClient({
            ...parseReference(`registry.example/${repository}`),
            http: new HttpClient({ retry: RETRY }),
            hosts: [mirror(near), origin(far)],
          }),
        [Symbol.asyncDispose]: () => owned.disposeAsync(),
      };
    },
  });
}
