import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { formatReport, reportOf } from "../../src/cli/error-report.ts";
import type { Credentials } from "../../src/oci/credentials.ts";
import { dockerKeychain } from "../../src/oci/docker-keychain.ts";
import { ALL_CAPABILITIES, type HostSettings } from "../../src/oci/host-settings.ts";
import { HttpClient } from "../../src/oci/http.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { collect } from "../suite/image-source.ts";
import { ForwardProxy } from "../support/forward-proxy.ts";
import type { TestRegistry } from "../support/registry.ts";
import type { RegistryManners } from "../support/registry-manners.ts";
import { holdsSecret, MARK, type Spy, spy } from "../support/secret-spy.ts";
import { tempDir } from "../support/temp-dir.ts";
import { helperEnv } from "./helper-script.ts";
import { IMAGE, LAYER, startRegistry, V1 } from "./registry-fixture.ts";

const PASSWORD = { username: "me", password: `password-${MARK}` };
const RETRY = { maxRetries: 1, baseMs: 1, maxMs: 1, maxRetryAfterMs: 1 };

interface Work {
  readonly registry: TestRegistry;
  readonly spy: Spy;
  readonly credentials?: Credentials;
  readonly keychain?: (host: string) => Promise<Credentials | undefined>;
  readonly hosts?: readonly HostSettings[];
  readonly proxy?: string;
}

/** Reads, writes and fails in every way, and keeps what the user would see. */
async function work({ registry, spy: { log, texts }, proxy, ...options }: Work): Promise<void> {
  const client = new RegistryClient({
    ...parseReference(`${registry.host}/app`),
    ...options,
    log,
    http: new HttpClient({
      log,
      retry: RETRY,
      ...(proxy === undefined ? {} : { proxyFor: () => new URL(proxy) }),
    }),
  });
  const attempts: readonly (() => Promise<unknown>)[] = [
    () => client.getManifest(V1),
    () => collect(client.getBlob(LAYER.descriptor)),
    () => client.referrers(IMAGE.descriptor.digest, "x"),
    () => client.uploadBlob(LAYER.descriptor, () => [LAYER.bytes]),
    () => client.putManifest(IMAGE.manifest, { mediaType: IMAGE.descriptor.mediaType }),
    () => client.deleteManifest(IMAGE.descriptor.digest),
  ];
  for (const attempt of attempts) {
    try {
      await attempt();
    } catch (error) {
      texts.push(formatReport(reportOf(error), { program: "sociable", debug: true }));
      texts.push(error instanceof Error ? (error.stack ?? "") : "", JSON.stringify(error));
    }
  }
}

const LOGINS: readonly {
  readonly title: string;
  readonly auth: RegistryManners["auth"];
  readonly credentials: Credentials;
}[] = [
  { title: "Basic", auth: { kind: "basic", ...PASSWORD }, credentials: PASSWORD },
  {
    title: "Basic, refused",
    auth: { kind: "basic", username: "me", password: "other" },
    credentials: PASSWORD,
  },
  {
    title: "a password that has run out",
    auth: { kind: "ecr", username: "me", password: "other" },
    credentials: PASSWORD,
  },
  { title: "a token", auth: { kind: "bearer", ...PASSWORD }, credentials: PASSWORD },
  {
    title: "a token, refused",
    auth: { kind: "bearer", username: "me", password: "other" },
    credentials: PASSWORD,
  },
  {
    title: "a token that is worthless at once",
    auth: { kind: "bearer", ...PASSWORD, validSeconds: 0 },
    credentials: PASSWORD,
  },
  {
    title: "an identity token",
    auth: { kind: "bearer", identityToken: `identity-${MARK}` },
    credentials: { identityToken: `identity-${MARK}` },
  },
  {
    title: "an identity token, refused",
    auth: { kind: "bearer", identityToken: "other" },
    credentials: { identityToken: `identity-${MARK}` },
  },
  {
    title: "an identity token used as password",
    auth: { kind: "bearer", identityToken: `identity-${MARK}`, noGrant: 404 },
    credentials: { identityToken: `identity-${MARK}` },
  },
  {
    title: "a registry token",
    auth: { kind: "bearer", registryToken: `registry-${MARK}` },
    credentials: { registryToken: `registry-${MARK}` },
  },
  {
    title: "a registry token, refused",
    auth: { kind: "bearer", registryToken: "other" },
    credentials: { registryToken: `registry-${MARK}` },
  },
  {
    title: "a token service that cannot be",
    auth: { kind: "bearer", realm: "ftp://x/" },
    credentials: PASSWORD,
  },
];

describe("secrets", () => {
  test.each(LOGINS)("stay out of logs, errors and URLs: $title", async ({ auth, credentials }) => {
    await using registry = await startRegistry({ auth });
    const seen = spy();
    await work({ registry, spy: seen, credentials });
    expect(seen.texts.length).toBeGreaterThan(5);
    expect(seen.texts.filter(holdsSecret)).toEqual([]);
    expect(registry.requests.map(({ path }) => path).filter(holdsSecret)).toEqual([]);
  });

  test("stay out of logs and errors that quote what a token service said", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer" } });
    const seen = spy();
    for (const body of [`token-${MARK}`, `{"token":["${MARK}"]}`, `{"token":"${MARK}\\n"}`]) {
      registry.failNext(1, { status: 200, path: /^\/token/, body });
      await work({ registry, spy: seen });
    }
    expect(seen.texts.filter(holdsSecret)).toEqual([]);
  });

  test("are never shown to the host of a redirect, nor is the signature of its URL logged", async () => {
    await using store = await startRegistry();
    await using registry = await startRegistry({ auth: { kind: "bearer", ...PASSWORD } });
    registry.manners.redirectBlobsTo = (digest) =>
      `${store.url}/v2/app/blobs/${digest}?signature=${MARK}`;
    const seen = spy();
    await work({ registry, spy: seen, credentials: PASSWORD });
    store.failNext(99, { status: 403 });
    await work({ registry, spy: seen, credentials: PASSWORD });
    expect(seen.texts.filter(holdsSecret)).toEqual([]);
    expect(store.requests.length).toBeGreaterThan(1);
    const shown = store.requests.flatMap(({ headers }) => [...headers]);
    expect(shown.filter(([name]) => name === "authorization")).toEqual([]);
    expect(shown.filter(([, value]) => holdsSecret(value))).toEqual([]);
  });

  test("are never shown to another host of the same registry", async () => {
    await using mirror = await startRegistry({ auth: { kind: "bearer", ...PASSWORD } });
    await using registry = await startRegistry({ auth: { kind: "basic", ...PASSWORD } });
    const hosts: readonly HostSettings[] = [
      {
        api: new URL(`${mirror.url}/v2/`),
        capabilities: ALL_CAPABILITIES,
        isOrigin: false,
        headers: { "x-of-mirror": "mirror" },
      },
      {
        api: new URL(`${registry.url}/v2/`),
        capabilities: ALL_CAPABILITIES,
        isOrigin: true,
        headers: { "x-of-registry": MARK },
      },
    ];
    const seen = spy();
    await work({ registry, spy: seen, hosts, credentials: PASSWORD });
    expect(seen.texts.filter(holdsSecret)).toEqual([]);
    const shown = mirror.requests.flatMap(({ headers }) => [...headers]);
    expect(shown.filter(([, value]) => holdsSecret(value))).toEqual([]);
    expect(registry.requests.filter(({ headers }) => headers.has("x-of-mirror"))).toEqual([]);
    expect(mirror.requests.length).toBeGreaterThan(0);
  });

  test("of a proxy stay with it", async () => {
    await using proxy = await ForwardProxy.start();
    await using registry = await startRegistry();
    const seen = spy();
    await work({ registry, spy: seen, proxy: proxy.url.replace("://", `://me:${MARK}@`) });
    await proxy[Symbol.asyncDispose]();
    await work({ registry, spy: seen, proxy: "http://me:s3cr3t-m4rk@127.0.0.1:1" });
    expect(seen.texts.filter(holdsSecret)).toEqual([]);
    const shown = registry.requests.flatMap(({ headers }) => [...headers]);
    expect(shown.filter(([, value]) => holdsSecret(value))).toEqual([]);
  });

  test("of files and helpers stay out of logs, errors and the helper's arguments", async () => {
    await using dir = await tempDir();
    await using registry = await startRegistry({ auth: { kind: "basic", ...PASSWORD } });
    const answers = [
      `printf '{"Username":"me","Secret":"other-${MARK}"}'`,
      `printf 'garbage ${MARK}'`,
      `printf '{"Username":"me","Secret":["${MARK}"]}'`,
    ];
    const seen = spy();
    const path = dir.join("config.json");
    const argv = dir.join("argv");
    for (const answer of answers) {
      const env = await helperEnv(dir, { test: `cat /proc/$$/cmdline >> ${argv}; ${answer}` });
      await writeFile(path, '{"credsStore":"test"}');
      const keychain = dockerKeychain({ files: [{ path }], env });
      await work({ registry, spy: seen, keychain: (host) => keychain(host, {}) });
    }
    for (const text of [`{"auths": ${MARK}}`, `{"auths":{"h":{"auth":"${MARK}:x"}}}`]) {
      await writeFile(path, text);
      const keychain = dockerKeychain({ files: [{ path }], env: {} });
      await work({ registry, spy: seen, keychain: (host) => keychain(host, {}) });
    }
    expect(seen.texts.filter(holdsSecret)).toEqual([]);
    expect(holdsSecret(await Bun.file(argv).text())).toBe(false);
  });

  test("are found by this test where they are", () => {
    const { username, password } = PASSWORD;
    for (const user of ["", "a", "ab", username]) {
      expect(holdsSecret(Buffer.from(`${user}:${password}`).toString("base64"))).toBe(true);
    }
    expect(holdsSecret(`GET /?x=${MARK}`)).toBe(true);
    expect(holdsSecret("GET /v2/app/manifests/v1")).toBe(false);
  });
});
