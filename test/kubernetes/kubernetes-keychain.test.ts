import { describe, expect, test } from "bun:test";
import { mkdir, rename, writeFile } from "node:fs/promises";
import {
  KubernetesKeychain,
  type KubernetesKeychainOptions,
} from "../../src/kubernetes/kubernetes-keychain.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import { makeCertificates } from "../support/certificates.ts";
import { KubernetesApi } from "../support/kubernetes-api.ts";
import { holdsSecret, MARK, spy } from "../support/secret-spy.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const HOST = "registry.example";
const REPOSITORY = { repository: "team/app" };

function loginOf(password: string) {
  return { username: "user", password };
}

function configOf(password: string, host = HOST) {
  return { auths: { [host]: loginOf(password) } };
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (let turns = 0; turns < 500; turns++) {
    if (await isTrue()) return;
    await Bun.sleep(10);
  }
  throw new Error("it did not come");
}

async function writeKubeconfig(
  dir: TempDir,
  server: string,
  { user = {}, cluster = {} }: { readonly user?: object; readonly cluster?: object } = {},
): Promise<string> {
  const path = dir.join("kubeconfig");
  const config = {
    "current-context": "one",
    contexts: [{ name: "one", context: { cluster: "two", user: "three" } }],
    clusters: [{ name: "two", cluster: { server, ...cluster } }],
    users: [{ name: "three", user }],
  };
  await writeFile(`${path}.new`, Bun.YAML.stringify(config, null, 2));
  await rename(`${path}.new`, path);
  return path;
}

function start(options: Partial<KubernetesKeychainOptions>): KubernetesKeychain {
  return KubernetesKeychain.start({
    env: {},
    log: NO_LOG,
    pollMs: 20,
    waitMs: 10,
    maxWaitMs: 50,
    ...options,
  });
}

/** An API server without TLS, and a keychain that watches it. */
async function stage(options: Partial<KubernetesKeychainOptions> = {}) {
  const dir = await tempDir();
  const api = new KubernetesApi();
  api.put("ns/first", configOf("1"));
  const path = await writeKubeconfig(dir, api.url);
  const secrets = start({ path, ...options });
  const password = async (host = HOST): Promise<unknown> => {
    const found = await secrets.keychain(host, REPOSITORY);
    return found !== undefined && "password" in found ? found.password : undefined;
  };
  return {
    api,
    secrets,
    password,
    [Symbol.asyncDispose]: async () => {
      await secrets[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

describe("KubernetesKeychain", () => {
  test("knows what is there before the first lookup is answered", async () => {
    await using at = await stage();
    expect(await at.password()).toBe("1");
  });

  test("sees secrets made, changed and deleted", async () => {
    await using at = await stage();
    await at.password();
    at.api.put("ns/other", configOf("2", "other.example"));
    await until(async () => (await at.password("other.example")) === "2");
    at.api.put("ns/other", configOf("3", "other.example"));
    await until(async () => (await at.password("other.example")) === "3");
    at.api.delete("ns/other");
    await until(async () => (await at.password("other.example")) === undefined);
    expect(await at.password()).toBe("1");
    expect(at.api.requests.filter((request) => request === "list").length).toBe(1);
  });

  test("goes on from where it was when a watch ends", async () => {
    await using at = await stage();
    await until(() => at.api.watchers === 1);
    at.api.bookmark();
    await Bun.sleep(20);
    at.api.endWatches();
    at.api.put("ns/first", configOf("2"));
    await until(async () => (await at.password()) === "2");
    expect(at.api.requests.slice(0, 3)).toEqual(["list", "watch 101", "watch 102"]);
  });

  test("lists again when its version is forgotten, and forgets what is gone", async () => {
    await using at = await stage();
    await until(() => at.api.watchers === 1);
    at.api.endWatches();
    at.api.delete("ns/first");
    at.api.put("ns/second", configOf("2", "second.example"));
    at.api.forget();
    await until(async () => (await at.password("second.example")) === "2");
    await until(async () => (await at.password()) === undefined);
  });

  test("lists again when the watch says that its version is forgotten", async () => {
    await using at = await stage();
    await until(() => at.api.watchers === 1);
    at.api.say(JSON.stringify({ type: "ERROR", object: { kind: "Status", code: 410 } }));
    await until(() => at.api.requests.filter((request) => request === "list").length === 2);
    expect(await at.password()).toBe("1");
  });

  test("reads long lists page by page", async () => {
    await using at = await stage();
    at.api.pageSize = 2;
    for (let index = 0; index < 7; index++) {
      at.api.put(`ns/more${index}`, configOf("x", `more${index}.example`));
    }
    at.api.forget();
    at.api.endWatches();
    await until(() => at.secrets.size === 8);
    expect(await at.password("more6.example")).toBe("x");
  });

  test.each([500, 503, 429, 401, 403])(
    "tries again after %d, and keeps what it knows",
    async (code) => {
      await using at = await stage();
      await until(() => at.api.watchers === 1);
      at.api.failures = { status: code, left: 3 };
      at.api.endWatches();
      expect(await at.password()).toBe("1");
      at.api.put("ns/first", configOf("2"));
      await until(async () => (await at.password()) === "2");
      expect(at.api.failures.left).toBe(0);
    },
  );

  test("tries again after garbage in a watch", async () => {
    await using at = await stage();
    for (const text of ["{", "[]", '{"type":"ADDED"}', '{"type":1}', "\u0000"]) {
      await until(() => at.api.watchers === 1);
      const before = at.api.requests.length;
      at.api.say(text);
      await until(() => at.api.requests.length > before);
      at.api.endWatches();
    }
    await until(() => at.api.watchers === 1);
    at.api.put("ns/first", configOf("2"));
    await until(async () => (await at.password()) === "2");
  });

  test("does without secrets that cannot be used", async () => {
    await using at = await stage();
    const type = "kubernetes.io/dockerconfigjson";
    at.api.put("ns/broken", "{");
    at.api.put("ns/opaque", configOf("4", "opaque.example"), "Opaque");
    at.api.putData("ns/empty", {}, type);
    at.api.putData("ns/number", { ".dockerconfigjson": 12 }, type);
    at.api.put("ns/last", configOf("2", "last.example"));
    await until(async () => (await at.password("last.example")) === "2");
    expect(at.secrets.size).toBe(2);
    at.api.put("ns/last", "no JSON any more");
    await until(async () => (await at.password("last.example")) === undefined);
  });

  test("runs no helper that a secret names", async () => {
    await using at = await stage();
    at.api.put("ns/first", { credsStore: "evil", credHelpers: { [HOST]: "evil" }, auths: {} });
    await until(async () => (await at.password()) === undefined);
  });

  test("gives the login changed last, then those that are not refused", async () => {
    await using at = await stage();
    at.api.put("ns/second", configOf("2"));
    await until(async () => (await at.password()) === "2");
    const isRefused = (login: object): boolean => "password" in login && login.password === "2";
    expect(await at.secrets.keychain(HOST, { ...REPOSITORY, isRefused })).toEqual(loginOf("1"));
  });

  test("ends at once, whatever it is doing", async () => {
    await using dir = await tempDir();
    const waiting = start({ path: dir.join("none"), pollMs: 60_000 });
    expect(await waiting.keychain(HOST, {})).toBeUndefined();
    await waiting[Symbol.asyncDispose]();
    await using silent = Bun.serve({
      port: 0,
      fetch: () => new Promise<Response>(() => undefined),
    });
    const path = await writeKubeconfig(dir, silent.url.href);
    const asking = start({ path, patienceMs: 30 });
    expect(await asking.keychain(HOST, {})).toBeUndefined();
    await asking[Symbol.asyncDispose]();
  });
});

describe("KubernetesKeychain and its kubeconfig", () => {
  test("waits for the file to come, and for one that can be used", async () => {
    await using dir = await tempDir();
    await using api = new KubernetesApi();
    api.put("ns/first", configOf("1"));
    await using secrets = start({ path: dir.join("kubeconfig") });
    expect(await secrets.keychain(HOST, REPOSITORY)).toBeUndefined();
    await writeFile(dir.join("kubeconfig"), "clusters: [");
    await Bun.sleep(50);
    await writeKubeconfig(dir, api.url);
    await until(() => secrets.size === 1);
  });

  test("speaks TLS with the cluster's authority, and reads its token anew", async () => {
    await using dir = await tempDir();
    const { ca, server } = await makeCertificates(dir);
    await using api = new KubernetesApi({ tls: server, authorization: "Bearer first" });
    api.put("ns/first", configOf("1"));
    await writeFile(dir.join("token"), "first\n");
    const data = Buffer.from(ca.cert).toString("base64");
    const path = await writeKubeconfig(dir, api.url, {
      cluster: { "certificate-authority-data": data },
      user: { tokenFile: "token" },
    });
    await using secrets = start({ path });
    await until(() => secrets.size === 1);
    api.authorization = "Bearer second";
    await writeFile(dir.join("token"), "second\n");
    api.endWatches();
    api.put("ns/second", configOf("2"));
    await until(() => secrets.size === 2);
  });

  test("shows a client certificate", async () => {
    await using dir = await tempDir();
    const { ca, server, client } = await makeCertificates(dir);
    await using api = new KubernetesApi({ tls: { ...server, clientCa: ca.cert } });
    api.put("ns/first", configOf("1"));
    const path = await writeKubeconfig(dir, api.url, {
      cluster: { "certificate-authority": ca.certFile },
      user: { "client-certificate": client.certFile, "client-key": client.keyFile },
    });
    await using secrets = start({ path });
    await until(() => secrets.size === 1);
  });

  test("does not trust a server of another authority", async () => {
    await using dir = await tempDir();
    const { server } = await makeCertificates(dir);
    await using api = new KubernetesApi({ tls: server });
    api.put("ns/first", configOf("1"));
    const path = await writeKubeconfig(dir, api.url, { user: { token: "x" } });
    await using secrets = start({ path });
    expect(await secrets.keychain(HOST, REPOSITORY)).toBeUndefined();
    expect(api.requests).toEqual([]);
  });

  test("uses the account of its pod when there is no kubeconfig", async () => {
    await using dir = await tempDir();
    const { ca, server } = await makeCertificates(dir);
    await using api = new KubernetesApi({ tls: server, authorization: "Bearer pod" });
    api.put("ns/first", configOf("1"));
    await mkdir(dir.join("account"));
    await writeFile(dir.join("account", "ca.crt"), ca.cert);
    await writeFile(dir.join("account", "token"), "pod");
    await using secrets = start({
      env: {
        HOME: dir.path,
        KUBERNETES_SERVICE_HOST: "127.0.0.1",
        KUBERNETES_SERVICE_PORT: `${api.port}`,
      },
      serviceAccountDirectory: dir.join("account"),
    });
    await until(() => secrets.size === 1);
  });

  test("has no secret in its log", async () => {
    await using dir = await tempDir();
    await using api = new KubernetesApi({ authorization: `Bearer ${MARK}` });
    const { log, texts } = spy();
    api.put("ns/first", configOf(MARK));
    api.put("ns/broken", `{"auths":{"x":{"auth":"${MARK}"}}}`);
    api.put("ns/broken2", `{"auths":{"x":"${MARK}"`);
    api.putData("ns/broken3", { ".dockerconfigjson": [MARK] }, "kubernetes.io/dockerconfigjson");
    for (const user of [
      { token: MARK },
      { token: `${MARK} no token` },
      { token: { [MARK]: MARK } },
      { username: MARK, password: [MARK] },
      { username: "user", password: MARK },
      { "client-key-data": MARK },
      { exec: { command: MARK, args: [MARK] } },
    ]) {
      const path = await writeKubeconfig(dir, api.url, { user });
      await using secrets = start({ path, log });
      await secrets.keychain(HOST, REPOSITORY);
      await Bun.sleep(30);
      api.endWatches();
    }
    await writeFile(dir.join("kubeconfig"), `a: "${MARK}\n  b: ${MARK}: [`);
    await using secrets = start({ path: dir.join("kubeconfig"), log });
    await secrets.keychain(HOST, REPOSITORY);
    expect(texts.length).toBeGreaterThan(10);
    expect(texts.filter(holdsSecret)).toEqual([]);
    expect(texts.join("\n")).toContain("exec is not supported");
  });
});
