import { describe, expect, test } from "bun:test";
import { ALL_CAPABILITIES, type HostSettings } from "../../src/oci/host-settings.ts";
import { HttpClient } from "../../src/oci/http.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { RegistryClient } from "../../src/oci/registry.ts";
import { loadTls } from "../../src/oci/tls-files.ts";
import { makeCertificates } from "../support/certificates.ts";
import { messagesOf, rejectionOf } from "../support/failure.ts";
import { ForwardProxy } from "../support/forward-proxy.ts";
import { basic } from "../support/registry-answers.ts";
import { tempDir } from "../support/temp-dir.ts";
import { TlsFront } from "../support/tls-front.ts";
import { clientOf, IMAGE, startRegistry, V1 } from "./registry-fixture.ts";

const LOGIN = { username: "me", password: "registry-s3cr3t" };

function clientBy(
  proxy: string,
  { host, hosts }: { readonly host: string; readonly hosts?: readonly HostSettings[] },
): RegistryClient {
  return new RegistryClient({
    ...parseReference(`${host}/app`),
    hosts,
    credentials: LOGIN,
    http: new HttpClient({
      proxyFor: () => new URL(proxy),
      retry: { maxRetries: 1, baseMs: 1, maxMs: 1, maxRetryAfterMs: 1 },
    }),
  });
}

describe("HttpClient and proxies", () => {
  test("asks a proxy for what is not encrypted", async () => {
    await using proxy = await ForwardProxy.start();
    await using registry = await startRegistry();
    const { descriptor } = await clientBy(proxy.url, registry).getManifest(V1);
    expect(descriptor).toEqual(IMAGE.descriptor);
    expect(proxy.seen[0]).toStartWith(`GET ${registry.url}/v2/app/manifests/v1 HTTP/1.1\r\n`);
  });

  test("goes through a proxy with TLS, and shows it nothing", async () => {
    await using dir = await tempDir();
    const certificates = await makeCertificates(dir);
    await using proxy = await ForwardProxy.start();
    await using registry = await startRegistry({ auth: { kind: "basic", ...LOGIN } });
    await using front = await TlsFront.start({ target: registry.host, certificates });
    const host: HostSettings = {
      api: new URL(`https://${front.host}/v2/`),
      capabilities: ALL_CAPABILITIES,
      isOrigin: true,
      headers: { "x-secret": "s3cr3t" },
      tls: await loadTls({ ca: [certificates.ca.certFile] }),
    };
    const client = clientBy(proxy.url, { host: front.host, hosts: [host] });
    expect((await client.getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    expect(proxy.seen.every((text) => text.startsWith(`CONNECT ${front.host} `))).toBe(true);
    const authorization = basic(LOGIN.username, LOGIN.password);
    expect(proxy.seen.join("")).not.toContain(authorization);
    expect(proxy.seen.join("")).not.toContain("s3cr3t");
  });

  test("logs in to the proxy, and only there", async () => {
    const authorization = basic("px", "proxy-s3cr3t");
    await using proxy = await ForwardProxy.start({ authorization });
    await using registry = await startRegistry({ auth: { kind: "basic", ...LOGIN } });
    const url = proxy.url.replace("://", "://px:proxy-s3cr3t@");
    expect((await clientBy(url, registry).getManifest(V1)).descriptor).toEqual(IMAGE.descriptor);
    const seen = registry.requests.map((request) => request.headers.get("proxy-authorization"));
    expect(new Set(seen)).toEqual(new Set([null]));
  });

  test.each([
    { title: "a registry without TLS", protocol: "http" },
    { title: "a registry with TLS", protocol: "https" },
  ])("gives up when the proxy wants a login: $title", async ({ protocol }) => {
    await using proxy = await ForwardProxy.start({ authorization: basic("px", "another") });
    const url = proxy.url.replace("://", "://px:proxy-s3cr3t@");
    const host: HostSettings = {
      api: new URL(`${protocol}://registry.example/v2/`),
      capabilities: ALL_CAPABILITIES,
      isOrigin: true,
    };
    const client = clientBy(url, { host: "registry.example", hosts: [host] });
    const error = await rejectionOf(client.getManifest(V1));
    expect(error).toMatchObject({ kind: "failed-precondition", temporary: false });
    expect(messagesOf(error)).toContain("407");
    expect(messagesOf(error)).not.toContain("proxy-s3cr3t");
    expect(proxy.seen.length).toBe(1);
  });

  test("names a proxy that cannot be reached, without its login", async () => {
    await using registry = await startRegistry();
    const gone = await ForwardProxy.start();
    const { url: bareUrl } = gone;
    const url = bareUrl.replace("://", "://px:proxy-s3cr3t@");
    await gone[Symbol.asyncDispose]();
    const error = await rejectionOf(clientBy(url, registry).getManifest(V1));
    expect(error).toMatchObject({ kind: "unavailable" });
    expect(messagesOf(error)).toContain(`the proxy "${bareUrl}"`);
    expect(messagesOf(error)).not.toContain("proxy-s3cr3t");
  });

  test("uses no proxy of the environment by itself, nor its exceptions", async () => {
    await using proxy = await ForwardProxy.start();
    await using registry = await startRegistry();
    const { HTTP_PROXY, NO_PROXY } = process.env;
    process.env["HTTP_PROXY"] = proxy.url;
    process.env["NO_PROXY"] = "*";
    try {
      await clientOf(registry).getManifest(V1);
      expect(proxy.seen).toEqual([]);
      await clientBy(proxy.url, registry).getManifest(V1);
      expect(proxy.seen.length).toBe(1);
    } finally {
      restore("HTTP_PROXY", HTTP_PROXY);
      restore("NO_PROXY", NO_PROXY);
    }
  });
});

function restore(name: string, value: string | undefined): void {
  if (value === undefined) {
    delete process.env[name];
  } else {
    process.env[name] = value;
  }
}
