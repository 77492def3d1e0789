import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ALL_CAPABILITIES, type HostSettings } from "../../src/oci/host-settings.ts";
import { HttpClient } from "../../src/oci/http.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { loadTls, type TlsFiles } from "../../src/oci/tls-files.ts";
import { collect } from "../suite/image-source.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import type { TestRegistry } from "../support/registry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { TlsFront } from "../support/tls-front.ts";
import { IMAGE, LAYER, startRegistry, V1 } from "./registry-fixture.ts";

const cleanup = new AsyncDisposableStack();
let certificates: Certificates;
beforeAll(async () => {
  certificates = await makeCertificates(cleanup.use(await tempDir()));
});
afterAll(() => cleanup.disposeAsync());

const RANGE = { start: 0, end: 10 };

async function hostAt(
  { host }: { readonly host: string },
  files: TlsFiles = {},
): Promise<HostSettings> {
  return {
    api: new URL(`https://${host}/v2/`),
    capabilities: ALL_CAPABILITIES,
    isOrigin: true,
    tls: await loadTls(files),
  };
}

async function clientAt(
  front: { readonly host: string },
  files?: TlsFiles,
): Promise<RegistryClient> {
  return new RegistryClient({
    ...parseReference(`${front.host}/app`),
    hosts: [await hostAt(front, files)],
    credentials: { username: "me", password: "secret" },
    http: new HttpClient({ retry: { maxRetries: 1, baseMs: 1, maxMs: 1, maxRetryAfterMs: 1 } }),
  });
}

async function frontOf(
  registry: TestRegistry,
  clients: "unasked" | "asked" | "checked" = "unasked",
): Promise<TlsFront> {
  return await TlsFront.start({ target: registry.host, certificates, clients });
}

describe("RegistryClient and TLS", () => {
  test("does not speak to a registry whose certificate it cannot trust", async () => {
    await using registry = await startRegistry();
    await using front = await frontOf(registry);
    await expect((await clientAt(front)).getManifest(V1)).rejects.toMatchObject({
      kind: "failed-precondition",
      hint: expect.stringContaining("--tlscacert"),
    });
    expect(registry.requests).toEqual([]);
  });

  test("trusts an authority that it is told to trust", async () => {
    await using registry = await startRegistry();
    await using front = await frontOf(registry);
    const client = await clientAt(front, { ca: [certificates.ca.certFile] });
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
  });

  test("keeps its connection for the next request", async () => {
    await using registry = await startRegistry();
    await using front = await frontOf(registry);
    const client = await clientAt(front, { ca: [certificates.ca.certFile] });
    for (let i = 0; i < 5; i++) await client.getManifest(V1);
    expect(front.clients.length).toBe(1);
  });

  test("does not trust a certificate for another name", async () => {
    await using registry = await startRegistry();
    await using front = await TlsFront.start({
      target: registry.host,
      certificates: { ...certificates, server: certificates.otherServer },
    });
    const client = await clientAt(front, { ca: [certificates.ca.certFile] });
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "failed-precondition" });
  });

  test("does not trust a certificate of a client in the place of a registry's", async () => {
    await using registry = await startRegistry();
    await using front = await TlsFront.start({
      target: registry.host,
      certificates: { ...certificates, server: certificates.client },
    });
    const client = await clientAt(front, { ca: [certificates.ca.certFile] });
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "failed-precondition" });
  });

  test("takes any certificate when told to, of that host only", async () => {
    await using registry = await startRegistry();
    await using front = await frontOf(registry);
    const http = new HttpClient();
    const { registry: name, repository } = parseReference("registry.example/app");
    const open = async (files: TlsFiles) =>
      new RegistryClient({
        registry: name,
        repository,
        http,
        hosts: [await hostAt(front, files)],
      });
    const careless = await open({ skipVerify: true });
    const careful = await open({});
    expect((await careless.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    await expect(careful.getManifest(V1)).rejects.toMatchObject({ kind: "failed-precondition" });
  });

  test("says so when there is no TLS on the port, and does not try again", async () => {
    await using registry = await startRegistry();
    await expect((await clientAt(registry)).getManifest(V1)).rejects.toMatchObject({
      kind: "failed-precondition",
      temporary: false,
      hint: expect.stringContaining("--plain-http"),
    });
  });

  test("asks a token service with the same authorities", async () => {
    await using registry = await startRegistry();
    await using front = await frontOf(registry);
    const realm = `https://${front.host}/token`;
    registry.manners.auth = { kind: "bearer", realm, username: "me", password: "secret" };
    const client = await clientAt(front, { ca: [certificates.ca.certFile] });
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
  });

  test("sends no login to a token service without TLS", async () => {
    await using registry = await startRegistry();
    await using front = await frontOf(registry);
    const realm = `${registry.url}/token`;
    registry.manners.auth = { kind: "bearer", realm, username: "me", password: "secret" };
    const client = await clientAt(front, { ca: [certificates.ca.certFile] });
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "unauthenticated" });
    expect(registry.tokenRequests).toEqual([]);
  });

  test("does not follow a redirect out of TLS", async () => {
    await using registry = await startRegistry();
    await using front = await frontOf(registry);
    registry.manners.redirectBlobsTo = `${registry.url}/v2/app/blobs/`;
    const client = await clientAt(front, { ca: [certificates.ca.certFile] });
    await expect(collect(client.getBlobRange(LAYER.descriptor, RANGE))).rejects.toMatchObject({
      kind: "failed-precondition",
    });
  });
});

describe("RegistryClient and client certificates", () => {
  function identity(): TlsFiles {
    const { ca, client } = certificates;
    return { ca: [ca.certFile], client: { cert: client.certFile, key: client.keyFile } };
  }

  test("shows who it is", async () => {
    await using registry = await startRegistry();
    await using front = await frontOf(registry, "checked");
    const client = await clientAt(front, identity());
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(front.clients).toEqual(["client"]);
  });

  test("is told what is missing where it has nothing to show", async () => {
    await using registry = await startRegistry();
    await using front = await frontOf(registry, "checked");
    const client = await clientAt(front, { ca: [certificates.ca.certFile] });
    await expect(client.getManifest(V1)).rejects.toMatchObject({
      kind: expect.stringMatching(/^(?:failed-precondition|unavailable)$/),
    });
    expect(registry.requests).toEqual([]);
  });

  test("shows it to no host that a redirect leads to, but trusts the same authorities there", async () => {
    await using registry = await startRegistry();
    await using store = await startRegistry();
    await using front = await frontOf(registry, "asked");
    await using storeFront = await frontOf(store, "asked");
    registry.manners.redirectBlobsTo = `https://${storeFront.host}/v2/app/blobs/`;
    const client = await clientAt(front, identity());
    // Twice: the second time the place is known, and the registry is not asked.
    for (let i = 0; i < 2; i++) {
      const got = await collect(client.getBlobRange(LAYER.descriptor, RANGE));
      expect(got.equals(LAYER.bytes.subarray(0, 10))).toBe(true);
    }
    expect(new Set(front.clients)).toEqual(new Set(["client"]));
    expect(storeFront.clients.length).toBeGreaterThan(0);
    expect(new Set(storeFront.clients)).toEqual(new Set([undefined]));
  });
});
