import { describe, expect, test } from "bun:test";
import type { Credentials, Keychain } from "../../src/oci/credentials.ts";
import { HttpClient } from "../../src/oci/http.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { collect } from "../suite/image-source.ts";
import type { TestRegistry } from "../support/registry.ts";
import { clientOf, IMAGE, LAYER, startRegistry, V1 } from "./registry-fixture.ts";

const PASSWORD = { username: "user", password: "pa:ss wörd" };

/** A client that looks its credentials up, in the order of the answers given. */
function clientWith(registry: TestRegistry, answers: readonly (Credentials | undefined)[]) {
  const asked: string[] = [];
  const keychain: Keychain = (host) => {
    asked.push(host);
    return Promise.resolve(answers[Math.min(asked.length, answers.length) - 1]);
  };
  const client = new RegistryClient({
    ...parseReference(`${registry.host}/app`),
    http: new HttpClient({ retry: { maxRetries: 0, baseMs: 1, maxMs: 1, maxRetryAfterMs: 1 } }),
    keychain,
  });
  return { client, asked };
}

describe("RegistryAuth and tokens", () => {
  test("asks the token service by GET, with service and scope", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer", ...PASSWORD } });
    await clientOf(registry, { credentials: PASSWORD }).getManifest(V1);
    expect(registry.tokenRequests).toEqual([
      {
        method: "GET",
        service: "test, registry",
        scopes: ["repository:app:pull"],
        grant: undefined,
      },
    ]);
  });

  test("asks for what a challenge names, too", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer", extraScope: "aws" } });
    await clientOf(registry).getManifest(V1);
    expect(registry.tokenRequests[0]?.scopes).toEqual(["repository:app:pull", "aws"]);
  });

  test("gets one token for a push: reading needs no other", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer" } });
    const client = clientOf(registry);
    const { config, layers, manifest, descriptor } = IMAGE;
    for (const blob of [config, ...layers]) {
      await client.uploadBlob(blob.descriptor, () => [blob.bytes]);
    }
    await client.putManifest(manifest, { mediaType: descriptor.mediaType });
    await client.getManifest(V1);
    expect(registry.tokenRequests.map(({ scopes }) => scopes)).toEqual([
      ["repository:app:pull,push"],
    ]);
  });

  test("uses a token until it expires, and then another", async () => {
    const expiresInSeconds = 1;
    await using registry = await startRegistry({ auth: { kind: "bearer", expiresInSeconds } });
    const client = clientOf(registry);
    await client.getManifest(V1);
    await client.getManifest(V1);
    expect(registry.tokenRequests.length).toBe(1);
    await Bun.sleep(920);
    await client.getManifest(V1);
    expect(registry.tokenRequests.length).toBe(2);
    expect(registry.requests.filter(({ status }) => status === 401).length).toBe(1);
  });

  test("renews a token that the registry holds for expired before we do", async () => {
    await using registry = await startRegistry({
      auth: { kind: "bearer", expiresInSeconds: 300, validSeconds: 0.05 },
    });
    const client = clientOf(registry);
    await client.getManifest(V1);
    await Bun.sleep(60);
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(registry.tokenRequests.length).toBe(2);
  });

  test.each([
    { title: "an hour ahead", clockAheadMs: 3_600_000 },
    { title: "an hour behind", clockAheadMs: -3_600_000 },
  ])("does not care for a token service whose clock is $title", async ({ clockAheadMs }) => {
    await using registry = await startRegistry({ auth: { kind: "bearer", clockAheadMs } });
    const client = clientOf(registry);
    await client.getManifest(V1);
    await client.getManifest(V1);
    expect(registry.tokenRequests.length).toBe(1);
  });

  test("gives up when a fresh token is refused at once", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer", validSeconds: 0 } });
    await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({
      kind: "unauthenticated",
      status: 401,
    });
    expect(registry.tokenRequests.length).toBe(1);
  });

  test("renews one token for many requests that were refused together", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer" } });
    const client = clientOf(registry);
    await client.getManifest(V1);
    registry.revokeTokens();
    await Promise.all([1, 2, 3, 4, 5].map(() => client.getManifest(V1)));
    expect(registry.tokenRequests.length).toBe(2);
  });

  test.each([
    { title: "no JSON", body: "oops" },
    { title: "an array", body: "[]" },
    { title: "no token", body: '{"expires_in":60}' },
    { title: "an empty token", body: '{"token":""}' },
    { title: "a token of two lines", body: '{"token":"a\\nb"}' },
    { title: "a token of a number", body: '{"token":1}' },
    { title: "a negative time", body: '{"token":"a","expires_in":-1}' },
    { title: "JSON that is too deep", body: `${"[".repeat(100)}${"]".repeat(100)}` },
    { title: "too much", body: `{"token":"${"a".repeat(1 << 20)}"}` },
  ])("refuses the token answer $title", async ({ body }) => {
    await using registry = await startRegistry({ auth: { kind: "bearer" } });
    registry.failNext(1, { status: 200, path: /^\/token/, body });
    await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({
      kind: "unauthenticated",
    });
  });

  test("refuses a token service that is not spoken to over TLS, where the registry is", async () => {
    const realm = "http://token.example.com/";
    await using registry = await startRegistry({ auth: { kind: "bearer", realm } });
    // The registry itself is spoken to without TLS: there it is allowed, and fails for want of a host.
    await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({ kind: "unavailable" });
  });

  test.each([{ realm: "file:///etc/passwd" }, { realm: "token" }, { realm: "" }])(
    'refuses a token service at "$realm"',
    async ({ realm }) => {
      await using registry = await startRegistry({ auth: { kind: "bearer", realm } });
      await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({
        kind: "unauthenticated",
      });
    },
  );

  test("says what to do when there are no credentials", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer", ...PASSWORD } });
    await expect(clientOf(registry).getManifest(V1)).rejects.toMatchObject({
      kind: "unauthenticated",
      hint: expect.stringContaining(`docker login ${registry.host}`),
    });
  });

  test("says that credentials were not taken", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer", ...PASSWORD } });
    const credentials = { username: "user", password: "another" };
    await expect(clientOf(registry, { credentials }).getManifest(V1)).rejects.toMatchObject({
      kind: "unauthenticated",
      hint: expect.stringContaining("were not taken"),
    });
  });
});

describe("RegistryAuth and identity tokens", () => {
  test("changes an identity token for access tokens, by POST", async () => {
    const identityToken = "identity-1";
    await using registry = await startRegistry({ auth: { kind: "bearer", identityToken } });
    await clientOf(registry, { credentials: { identityToken } }).getManifest(V1);
    expect(registry.tokenRequests).toEqual([
      {
        method: "POST",
        service: "test, registry",
        scopes: ["repository:app:pull"],
        grant: "refresh_token",
      },
    ]);
  });

  test("goes on with the identity token that the service gave instead", async () => {
    const identityToken = "identity-1";
    await using registry = await startRegistry({
      auth: { kind: "bearer", identityToken, changesIdentityToken: true },
    });
    const client = clientOf(registry, { credentials: { identityToken } });
    await client.getManifest(V1);
    registry.revokeTokens();
    await client.getManifest(V1);
    registry.revokeTokens();
    await client.getManifest(V1);
    expect(registry.tokenRequests.length).toBe(3);
  });

  test.each([400, 401, 404, 405])(
    "uses it as a password where the service answers grants with %d",
    async (noGrant) => {
      const identityToken = "identity-1";
      await using registry = await startRegistry({
        auth: { kind: "bearer", identityToken, noGrant },
      });
      const client = clientOf(registry, { credentials: { identityToken } });
      expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
      expect(registry.tokenRequests.map(({ method }) => method)).toEqual(["POST", "GET"]);
    },
  );

  test("is never sent on when the token service redirects", async () => {
    const seen: string[] = [];
    await using thief = Bun.serve({
      port: 0,
      fetch: async (request) => {
        seen.push(await request.text());
        return Response.json({ access_token: "stolen" });
      },
    });
    const identityToken = "identity-1";
    await using registry = await startRegistry({ auth: { kind: "bearer", identityToken } });
    const location = `http://127.0.0.1:${thief.port}/`;
    registry.failNext(1, { status: 307, path: /^\/token/, headers: { location } });
    const client = clientOf(registry, { credentials: { identityToken } });
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "failed-precondition" });
    expect(seen).toEqual([]);
  });

  test("is unauthenticated when the identity token is worthless", async () => {
    await using registry = await startRegistry({
      auth: { kind: "bearer", identityToken: "identity-1" },
    });
    const client = clientOf(registry, { credentials: { identityToken: "identity-2" } });
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "permission-denied" });
  });
});

describe("RegistryAuth and registry tokens", () => {
  test("shows a registry token as it is, and asks no token service", async () => {
    const registryToken = "registry-1";
    await using registry = await startRegistry({ auth: { kind: "bearer", registryToken } });
    const client = clientOf(registry, { credentials: { registryToken } });
    await client.getManifest(V1);
    await client.getManifest(V1);
    expect(registry.tokenRequests).toEqual([]);
    expect(registry.requests.map(({ status }) => status)).toEqual([401, 200, 200]);
  });

  test("gives up when it is refused", async () => {
    await using registry = await startRegistry({
      auth: { kind: "bearer", registryToken: "registry-1" },
    });
    const client = clientOf(registry, { credentials: { registryToken: "registry-2" } });
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "unauthenticated" });
    expect(registry.requests.length).toBe(2);
  });
});

describe("RegistryAuth and logins that run out", () => {
  test.each(["basic", "ecr"] as const)("looks again after a refusal: %s", async (kind) => {
    const now = { username: "AWS", password: "new" };
    await using registry = await startRegistry({ auth: { kind, ...now } });
    const { client, asked } = clientWith(registry, [{ username: "AWS", password: "old" }, now]);
    // The first login is refused; what is found then is tried with the next request.
    await client.getManifest(V1).catch(() => undefined);
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(asked).toEqual([registry.host, registry.host]);
  });

  test("renews a login that runs out between two requests", async () => {
    const auth = { kind: "ecr", username: "AWS", password: "first" } as const;
    await using registry = await startRegistry({ auth });
    const { client } = clientWith(registry, [
      { username: "AWS", password: "first" },
      { username: "AWS", password: "second" },
    ]);
    await client.getManifest(V1);
    registry.manners.auth = { ...auth, password: "second" };
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(registry.requests.map(({ status }) => status)).toEqual([401, 200, 403, 200]);
  });

  test("is permission-denied when there is no newer login", async () => {
    const auth = { kind: "ecr", username: "AWS", password: "second" } as const;
    await using registry = await startRegistry({ auth });
    const { client } = clientWith(registry, [{ username: "AWS", password: "first" }]);
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "permission-denied" });
    expect(registry.requests.map(({ status }) => status)).toEqual([401, 403]);
  });

  test("does not take any other 403 for an old login", async () => {
    await using registry = await startRegistry();
    registry.failNext(9, { status: 403 });
    const { client, asked } = clientWith(registry, [PASSWORD]);
    await expect(client.getManifest(V1)).rejects.toMatchObject({ kind: "permission-denied" });
    expect(asked).toEqual([]);
  });

  test("asks the registry again when its storage says ExpiredToken", async () => {
    let answers = 0;
    await using storage = Bun.serve({
      port: 0,
      fetch: () => {
        answers += 1;
        return answers === 1
          ? new Response("<Error><Code>ExpiredToken</Code><Message>too old</Message></Error>", {
              status: 400,
            })
          : new Response(LAYER.bytes.slice(0, 10), {
              status: 206,
              headers: { "content-range": `bytes 0-9/${LAYER.bytes.length}` },
            });
      },
    });
    await using registry = await startRegistry({
      redirectBlobsTo: `http://127.0.0.1:${storage.port}/`,
    });
    const range = { start: 0, end: 10 };
    const got = await collect(clientOf(registry).getBlobRange(LAYER.descriptor, range));
    expect(got.equals(LAYER.bytes.subarray(0, 10))).toBe(true);
    expect(registry.requests.length).toBe(2);
  });
});

describe("RegistryAuth and the keychain", () => {
  test("is not asked by a registry that wants no login", async () => {
    await using registry = await startRegistry();
    const { client, asked } = clientWith(registry, [PASSWORD]);
    await client.getManifest(V1);
    expect(asked).toEqual([]);
  });

  test("is asked once by requests that come together", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer", ...PASSWORD } });
    const { client, asked } = clientWith(registry, [PASSWORD]);
    await Promise.all([1, 2, 3, 4].map(() => client.getManifest(V1)));
    expect(asked).toEqual([registry.host]);
  });

  test("fails the request when it fails", async () => {
    await using registry = await startRegistry({ auth: { kind: "basic", ...PASSWORD } });
    const failure = new Error("no keychain today");
    const client = new RegistryClient({
      ...parseReference(`${registry.host}/app`),
      keychain: () => Promise.reject(failure),
    });
    await expect(client.getManifest(V1)).rejects.toBe(failure);
  });
});
