import { expect, test } from "bun:test";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { HttpClient } from "../../src/oci/http.ts";
import { OCI_MANIFEST, OCTET_STREAM } from "../../src/oci/media-types.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { collect } from "../suite/image-source.ts";
import { describeRegistryClient, type OpenedRegistry } from "../suite/registry-client.ts";
import { describeWith } from "../support/describe-with.ts";
import { startDockerRegistry } from "../support/docker-registry.ts";
import type { BuiltImage } from "../support/image-builder.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { tempDir } from "../support/temp-dir.ts";

const RETRY = { maxRetries: 4, baseMs: 5, maxMs: 20, maxRetryAfterMs: 1000 };
const PROGRAM = "docker-registry";
const BYTES = sampleBytes(2_000_000, 21);
const BLOB: Descriptor = {
  mediaType: OCTET_STREAM,
  digest: digestOf(BYTES),
  size: BYTES.length,
};

interface RealRegistry extends AsyncDisposable {
  readonly host: string;
}

async function startRegistry(): Promise<RealRegistry> {
  await using cleanup = new AsyncDisposableStack();
  const dir = cleanup.use(await tempDir());
  const { host } = cleanup.use(await startDockerRegistry(PROGRAM, { directory: dir.path }));
  const owned = cleanup.move();
  return { host, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function clientOf(host: string, name = "app"): RegistryClient {
  const { registry, repository } = parseReference(`${host}/${name}`);
  return new RegistryClient({ registry, repository, http: new HttpClient({ retry: RETRY }) });
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 50_000) {
    yield bytes.subarray(at, at + 50_000);
    await Bun.sleep(0);
  }
}

async function pushImage(client: RegistryClient, image: BuiltImage): Promise<void> {
  for (const { descriptor, bytes } of [image.config, ...image.layers]) {
    await client.uploadBlob(descriptor, () => [bytes]);
  }
  const { tag } = parseReference("app:v1");
  const mediaType = OCI_MANIFEST;
  await client.putManifest(image.manifest, {
    mediaType,
    ...(tag === undefined ? {} : { reference: tag }),
  });
}

describeWith([PROGRAM], "RegistryClient and Debian's docker-registry", () => {
  describeRegistryClient({
    name: PROGRAM,
    open: async (image): Promise<OpenedRegistry> => {
      await using cleanup = new AsyncDisposableStack();
      const { host } = cleanup.use(await startRegistry());
      await pushImage(clientOf(host), image);
      const owned = cleanup.move();
      return {
        client: (name) => clientOf(host, name),
        [Symbol.asyncDispose]: () => owned.disposeAsync(),
      };
    },
  });

  test("uploadBlob() sends chunks", async () => {
    await using registry = await startRegistry();
    const client = clientOf(registry.host);
    await client.uploadBlob(BLOB, () => piecesOf(BYTES), { chunkBytes: 700_000 });
    expect((await collect(client.getBlob(BLOB))).equals(BYTES)).toBe(true);
  });

  test.each([
    { title: "in one piece", options: {} },
    { title: "in chunks", options: { chunkBytes: 700_000 } },
  ])("uploadBlob() goes on where connections broke: $title", async ({ options }) => {
    await using registry = await startRegistry();
    await using proxy = await LatencyProxy.start({
      target: registry.host,
      resetAfterSentBytes: 900_000,
      resets: 2,
    });
    await clientOf(proxy.host).uploadBlob(BLOB, () => piecesOf(BYTES), options);
    const got = await collect(clientOf(registry.host).getBlob(BLOB));
    expect(got.equals(BYTES)).toBe(true);
  });

  test("uploadBlob() leaves no blob when it is aborted", async () => {
    await using registry = await startRegistry();
    const controller = new AbortController();
    const reason = new Error("enough");
    async function* open(): AsyncGenerator<Uint8Array> {
      yield* piecesOf(BYTES.subarray(0, 1_000_000));
      controller.abort(reason);
      await Bun.sleep(50);
      yield BYTES.subarray(1_000_000);
    }
    const { signal } = controller;
    const client = clientOf(registry.host);
    await expect(client.uploadBlob(BLOB, open, { signal })).rejects.toBe(reason);
    expect(await client.headBlob(BLOB.digest)).toBeUndefined();
  });

  test("uploadBlob() mounts a blob of another repository", async () => {
    await using registry = await startRegistry();
    await clientOf(registry.host, "base").uploadBlob(BLOB, () => piecesOf(BYTES));
    const { repository: mountFrom } = parseReference("localhost/base");
    let opened = 0;
    const open = () => {
      opened += 1;
      return piecesOf(BYTES);
    };
    const client = clientOf(registry.host);
    expect(await client.uploadBlob(BLOB, open, { mountFrom })).toBe(false);
    expect([opened, await client.headBlob(BLOB.digest)]).toEqual([0, BLOB.size]);
  });
});
