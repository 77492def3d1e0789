import { describe, expect, test } from "bun:test";
import type { Credentials, Keychain } from "../../src/oci/credentials.ts";
import { HttpClient } from "../../src/oci/http.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { rejectionOf } from "../support/failure.ts";
import type { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { IMAGE, startRegistry, V1 } from "./registry-fixture.ts";

const OLD = { username: "user", password: "old" };
const NEW = { username: "user", password: "new" };
const THIRD = { username: "user", password: "third" };
const RETRY = { maxRetries: 0, baseMs: 1, maxMs: 1, maxRetryAfterMs: 1 };

/** A client with several logins for its registry, of which the first one that is not refused counts. */
function clientWith(registry: TestRegistry, logins: readonly Credentials[]) {
  const given: Credentials[] = [];
  const keychain: Keychain = (_host, { isRefused = () => false }) => {
    const found = logins.find((login) => !isRefused(login));
    given.push(...(found === undefined ? [] : [found]));
    return Promise.resolve(found);
  };
  const client = new RegistryClient({
    ...parseReference(`${registry.host}/app`),
    http: new HttpClient({ retry: RETRY }),
    keychain,
  });
  return { client, given };
}

const KINDS = ["basic", "ecr", "bearer"] as const;

function auth(kind: (typeof KINDS)[number], login: typeof OLD): RegistryManners["auth"] {
  return { kind, ...login };
}

describe.each(KINDS)("logins of a registry that asks by %s", (kind) => {
  test("the next one is tried when the first is refused, in the same request", async () => {
    await using registry = await startRegistry({ auth: auth(kind, NEW) });
    const { client, given } = clientWith(registry, [OLD, THIRD, NEW]);
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(given).toEqual([OLD, THIRD, NEW]);
  });

  test("the refused one is not asked for again as long as another is taken", async () => {
    await using registry = await startRegistry({ auth: auth(kind, NEW) });
    const { client, given } = clientWith(registry, [OLD, NEW]);
    await client.getManifest(V1);
    registry.revokeTokens();
    await client.getManifest(V1);
    expect(given.filter((login) => login === OLD).length).toBe(1);
  });

  test("all are tried again by the next request when all were refused", async () => {
    await using registry = await startRegistry({ auth: auth(kind, NEW) });
    const { client } = clientWith(registry, [OLD, THIRD]);
    const error = await rejectionOf(client.getManifest(V1));
    expect(error).toMatchObject({ hint: expect.stringContaining("were not taken") });
    registry.manners.auth = auth(kind, OLD);
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
  });

  test("the new one counts when the registry wants another in a client's long life", async () => {
    await using registry = await startRegistry({ auth: auth(kind, OLD) });
    const logins = [OLD];
    const { client } = clientWith(registry, logins);
    await client.getManifest(V1);
    registry.manners.auth = auth(kind, NEW);
    registry.revokeTokens();
    logins.splice(0, 1, NEW);
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(registry.requests.at(-1)?.status).toBe(200);
  });

  test("many requests refused together find one new login", async () => {
    await using registry = await startRegistry({ auth: auth(kind, OLD) });
    const { client } = clientWith(registry, [OLD, NEW]);
    await client.getManifest(V1);
    registry.manners.auth = auth(kind, NEW);
    registry.revokeTokens();
    const fetched = await Promise.all([1, 2, 3, 4, 5].map(() => client.getManifest(V1)));
    expect(fetched.map(({ descriptor }) => descriptor)).toEqual(
      Array.from(fetched, () => IMAGE.descriptor),
    );
  });
});

describe("logins", () => {
  test("a token that has expired is renewed with the login of today", async () => {
    const bearer = { kind: "bearer", expiresInSeconds: 1 } as const;
    await using registry = await startRegistry({ auth: { ...bearer, ...OLD } });
    const logins = [OLD];
    const { client } = clientWith(registry, logins);
    await client.getManifest(V1);
    registry.manners.auth = { ...bearer, ...NEW };
    logins.splice(0, 1, NEW);
    await Bun.sleep(1000);
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(registry.requests.filter(({ status }) => status === 401).length).toBe(1);
  });

  test.each(KINDS)("another one is tried when the first may not: 403 by %s", async (kind) => {
    await using registry = await startRegistry({ auth: auth(kind, OLD) });
    const { client, given } = clientWith(registry, [OLD, NEW]);
    await client.getManifest(V1);
    registry.manners.auth = auth(kind, NEW);
    registry.failNext(1, { status: 403 });
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(given).toContain(NEW);
  });

  test("a keychain that always finds another one is given up", async () => {
    await using registry = await startRegistry({ auth: { kind: "basic", ...NEW } });
    let asked = 0;
    const client = new RegistryClient({
      ...parseReference(`${registry.host}/app`),
      keychain: () => Promise.resolve({ username: "user", password: `${asked++}` }),
    });
    await rejectionOf(client.getManifest(V1));
    expect(asked).toBeLessThan(10);
  });

  test("a refusal of everybody asks the keychain once and no more", async () => {
    await using registry = await startRegistry({ auth: { kind: "basic", ...NEW } });
    const { client } = clientWith(registry, []);
    await rejectionOf(client.getManifest(V1));
    expect(registry.requests.length).toBe(1);
  });
});
