import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parseReference, type RegistryHost } from "../../src/oci/reference.ts";
import { loadRegistryHosts } from "../../src/oci/registry-hosts.ts";
import { makeCertificates } from "../support/certificates.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

function registry(host: string): RegistryHost {
  return parseReference(`${host}/app`).registry;
}

async function write(dir: TempDir, files: Readonly<Record<string, string>>): Promise<string> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(dir.join("certs.d", name)), { recursive: true });
    await writeFile(dir.join("certs.d", name), text);
  }
  return dir.join("certs.d");
}

async function apis(host: string, directory?: string): Promise<readonly string[]> {
  return (await loadRegistryHosts(registry(host), { directory })).map(({ api }) => api.href);
}

describe("loadRegistryHosts()", () => {
  test.each([
    { host: "example.com", api: "https://example.com/v2/" },
    { host: "example.com:5000", api: "https://example.com:5000/v2/" },
    { host: "docker.io", api: "https://registry-1.docker.io/v2/" },
    { host: "localhost:5000", api: "http://localhost:5000/v2/" },
    { host: "127.0.0.1:443", api: "https://127.0.0.1/v2/" },
    { host: "[::1]:5000", api: "http://[::1]:5000/v2/" },
  ])("knows $host itself at $api", async ({ host, api }) => {
    expect(await apis(host)).toEqual([api]);
  });

  test("speaks TLS to this machine, too, when there is talk of it", async () => {
    const hosts = await loadRegistryHosts(registry("localhost:5000"), {
      tls: { skipVerify: true },
    });
    expect(hosts.map(({ api }) => api.href)).toEqual(["https://localhost:5000/v2/"]);
    expect(hosts[0]?.tls).toEqual({ skipVerify: true });
  });

  test("speaks plain HTTP when told to", async () => {
    const hosts = await loadRegistryHosts(registry("example.com"), { plainHttp: true });
    expect(hosts.map(({ api }) => api.href)).toEqual(["http://example.com/v2/"]);
  });

  test("puts mirrors first and the registry itself last", async () => {
    await using dir = await tempDir();
    const directory = await write(dir, {
      "example.com/hosts.toml": '[host."https://b"]\n[host."https://a"]\n',
    });
    const hosts = await loadRegistryHosts(registry("example.com"), { directory });
    expect(hosts.map(({ api, isOrigin }) => [api.href, isOrigin])).toEqual([
      ["https://b/v2/", false],
      ["https://a/v2/", false],
      ["https://example.com/v2/", true],
    ]);
  });

  test.each([
    { title: "a directory for host and port", name: "h.example_5000_", host: "h.example:5000" },
    { title: "the same with a colon", name: "h.example:5000", host: "h.example:5000" },
    { title: "a directory for a host", name: "h.example", host: "h.example" },
    { title: "the directory for all others", name: "_default", host: "h.example:5000" },
  ])("finds $title", async ({ name, host }) => {
    await using dir = await tempDir();
    const directory = await write(dir, {
      [`${name}/hosts.toml`]: '[host."https://mirror"]',
      "other.example/hosts.toml": '[host."https://wrong"]',
    });
    expect(await apis(host, directory)).toEqual(["https://mirror/v2/", `https://${host}/v2/`]);
  });

  test("prefers the directory without a colon, and any to that for all others", async () => {
    await using dir = await tempDir();
    const directory = await write(dir, {
      "h:1/hosts.toml": '[host."https://second"]',
      "h_1_/hosts.toml": '[host."https://first"]',
      "_default/hosts.toml": '[host."https://third"]',
    });
    expect((await apis("h:1", directory))[0]).toBe("https://first/v2/");
  });

  test("has no mirrors in a directory that does not know the registry, or is not there", async () => {
    await using dir = await tempDir();
    expect(await apis("h.example", dir.path)).toEqual(["https://h.example/v2/"]);
    expect(await apis("h.example", dir.join("none"))).toEqual(["https://h.example/v2/"]);
  });

  test("takes certificates as docker lays them out, where there is no hosts.toml", async () => {
    await using dir = await tempDir();
    const { ca, client } = await makeCertificates(dir);
    const directory = await write(dir, {
      "h.example/ca.crt": ca.cert,
      "h.example/me.cert": client.cert,
      "h.example/me.key": client.key,
      "h.example/README": "not a certificate",
    });
    const [host] = await loadRegistryHosts(registry("h.example"), { directory });
    expect(host?.tls?.ca?.map((pem) => pem.trim())).toContain(ca.cert.trim());
    expect(host?.tls?.client).toEqual({ cert: client.cert, key: client.key });
  });

  test("takes a client certificate that holds its own key", async () => {
    await using dir = await tempDir();
    const { client } = await makeCertificates(dir);
    const both = client.cert + client.key;
    const directory = await write(dir, { "h.example/me.cert": both });
    const [host] = await loadRegistryHosts(registry("h.example"), { directory });
    expect(host?.tls?.client).toEqual({ cert: both, key: both });
  });

  test("keeps the flags' identity and trust in any certificate from mirrors, but not their authorities", async () => {
    await using dir = await tempDir();
    const { ca, client } = await makeCertificates(dir);
    const directory = await write(dir, { "h.example/hosts.toml": '[host."https://mirror"]' });
    const tls = {
      ca: [ca.certFile],
      client: { cert: client.certFile, key: client.keyFile },
      skipVerify: true,
    };
    const [mirror, itself] = await loadRegistryHosts(registry("h.example"), { directory, tls });
    expect(mirror?.tls?.ca?.map((pem) => pem.trim())).toContain(ca.cert.trim());
    expect(mirror?.tls?.client).toBeUndefined();
    expect(mirror?.tls?.skipVerify).toBeUndefined();
    expect(itself?.tls).toMatchObject({ client: { key: client.key }, skipVerify: true });
  });

  test("fails for a certificate that is not there, and names its file", async () => {
    await using dir = await tempDir();
    const directory = await write(dir, { "h.example/hosts.toml": 'ca = "none.pem"' });
    await expect(loadRegistryHosts(registry("h.example"), { directory })).rejects.toMatchObject({
      kind: "failed-precondition",
      message: expect.stringContaining(dir.join("certs.d/h.example/none.pem")),
    });
  });

  test("fails for a hosts.toml that cannot be read", async () => {
    await using dir = await tempDir();
    await mkdir(dir.join("certs.d/h.example/hosts.toml"), { recursive: true });
    await expect(
      loadRegistryHosts(registry("h.example"), { directory: dir.join("certs.d") }),
    ).rejects.toMatchObject({ kind: "failed-precondition" });
  });
});
