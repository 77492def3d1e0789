import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { RegistryAccess, type RegistryAccessOptions } from "../../src/daemon/registry-access.ts";
import type { MirrorSettings } from "../../src/daemon/registry-mirrors.ts";
import { SociError } from "../../src/errors.ts";
import type { Credentials, Keychain } from "../../src/oci/credentials.ts";
import { OCI_MANIFEST } from "../../src/oci/media-types.ts";
import { IMAGE, LAYER, startRegistry } from "../oci/registry-fixture.ts";
import { collect } from "../suite/image-source.ts";
import { messagesOf, rejectionOf } from "../support/failure.ts";
import { TestRegistry } from "../support/registry.ts";
import { holdsSecret, MARK, spy } from "../support/secret-spy.ts";
import { tempDir } from "../support/temp-dir.ts";

const HTTP = {
  dialTimeoutMs: 1000,
  responseHeaderTimeoutMs: 1000,
  requestTimeoutMs: 60_000,
  maxRetries: 2,
  minWaitMs: 1,
  maxWaitMs: 5,
};
const MANIFEST = IMAGE.descriptor.digest;
const ARTIFACT = "application/vnd.test.index.v1+json";
const LOGIN = { username: "user", password: "right" };

function accessWith(options: Partial<RegistryAccessOptions> = {}): RegistryAccess {
  return new RegistryAccess({ userAgent: "sociable/1.2.3", keychains: [], http: HTTP, ...options });
}

function mirror(host: string, more: Partial<MirrorSettings> = {}): MirrorSettings {
  return { host, insecure: false, requestTimeoutSec: 0, ...more };
}

function keychainOf(...logins: readonly Credentials[]): Keychain {
  return () => Promise.resolve(logins[0]);
}

describe("RegistryAccess.openSource()", () => {
  test("opens the manifest whatever the tag has become, under our own name", async () => {
    await using registry = await startRegistry();
    const access = accessWith();
    await using source = await access.openSource({
      imageReference: `${registry.host}/app:gone`,
      manifestDigest: MANIFEST,
    });
    expect(await source.root()).toEqual(IMAGE.descriptor);
    expect((await collect(source.blob(LAYER.descriptor))).equals(LAYER.bytes)).toBe(true);
    expect(source.name).toBe(`${registry.host}/app:gone@${MANIFEST}`);
    expect(registry.requests[0]?.headers.get("user-agent")).toBe("sociable/1.2.3");
  });

  test("shares one source among all that use the image, until the last has ended", async () => {
    await using registry = await startRegistry();
    const access = accessWith();
    const name = { imageReference: `${registry.host}/app:v1`, manifestDigest: MANIFEST };
    const sources = await Promise.all([1, 2, 3].map(() => access.openSource(name)));
    for (const source of sources) await source.manifest(IMAGE.descriptor);
    expect(registry.requests.length).toBe(1);
    expect(access.openSources).toBe(1);
    for (const source of sources) {
      await source[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    }
    expect(access.openSources).toBe(0);
  });

  test("keeps nothing of a source that cannot be opened", async () => {
    await using dir = await tempDir();
    await mkdir(dir.join("registry.example"));
    await writeFile(dir.join("registry.example", "hosts.toml"), "server = 1");
    const access = accessWith({ hostsDirectory: dir.path });
    const name = { imageReference: "registry.example/app:v1" };
    expect(await rejectionOf(access.openSource(name))).toMatchObject({
      kind: "failed-precondition",
    });
    expect(access.openSources).toBe(0);
    await writeFile(dir.join("registry.example", "hosts.toml"), "");
    await using _source = await access.openSource(name);
  });

  test("refuses what is no name of an image", async () => {
    expect(await rejectionOf(accessWith().openSource({ imageReference: "A b" }))).toMatchObject({
      kind: "invalid-argument",
    });
  });

  test("tries a request again as often as it is told", async () => {
    await using registry = await startRegistry();
    const access = accessWith({ blob: { maxRetries: 4, minWaitMs: 1, maxWaitMs: 2 } });
    await using source = await access.openSource({ imageReference: `${registry.host}/app:v1` });
    registry.failNext(9, { status: 500, path: /manifests/ });
    await rejectionOf(source.root());
    expect(registry.requests.length).toBe(3);
    registry.clearRequests();
    registry.failNext(9, { status: 500, path: /blobs/ });
    await rejectionOf(collect(source.blob(LAYER.descriptor)));
    expect(registry.requests.length).toBe(5);
  });

  test("gives up a server that does not answer", async () => {
    await using registry = await startRegistry({ answerDelayMs: 2000 });
    const http = { ...HTTP, dialTimeoutMs: 50, responseHeaderTimeoutMs: 50, maxRetries: 0 };
    const access = accessWith({ http });
    await using source = await access.openSource({ imageReference: `${registry.host}/app:v1` });
    expect(await rejectionOf(source.root())).toMatchObject({ kind: "unavailable" });
  });
});

describe("RegistryAccess and keychains", () => {
  test("asks them in order, and the next where one's login is refused", async () => {
    await using registry = await startRegistry({ auth: { kind: "basic", ...LOGIN } });
    const images: (string | undefined)[] = [];
    const access = accessWith({
      keychains: [
        () => Promise.resolve(undefined),
        () => Promise.reject(new SociError("failed-precondition", "Cannot use it")),
        (_host, { image }) => {
          images.push(image);
          return Promise.resolve({ ...LOGIN, password: "wrong" });
        },
        keychainOf(LOGIN),
      ],
    });
    await using source = await access.openSource({
      imageReference: `${registry.host}/app:v1`,
      manifestDigest: MANIFEST,
    });
    expect(await source.root()).toEqual(IMAGE.descriptor);
    expect(images[0]).toBe(`${registry.host}/app:v1`);
  });

  test("fails as the first that failed when no other has any", async () => {
    await using registry = await startRegistry({ auth: { kind: "basic", ...LOGIN } });
    const failure = new SociError("failed-precondition", "Cannot use it");
    const access = accessWith({ keychains: [() => Promise.reject(failure), keychainOf()] });
    await using source = await access.openSource({ imageReference: `${registry.host}/app:v1` });
    expect(await rejectionOf(source.root())).toBe(failure);
  });

  test("a login that was renewed is used by a source of long ago", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer", ...LOGIN } });
    const logins: Credentials[] = [LOGIN];
    const access = accessWith({ keychains: [() => Promise.resolve(logins[0])] });
    await using source = await access.openSource({ imageReference: `${registry.host}/app:v1` });
    await source.root();
    const renewed = { ...LOGIN, password: "renewed" };
    registry.manners.auth = { kind: "bearer", ...renewed };
    registry.revokeTokens();
    const range = { start: 0, end: 10 };
    await rejectionOf(collect(source.blobRange(LAYER.descriptor, range)));
    logins[0] = renewed;
    expect((await collect(source.blobRange(LAYER.descriptor, range))).length).toBe(10);
  });

  test("no secret is in a log line or an error", async () => {
    await using registry = await startRegistry({ auth: { kind: "bearer", ...LOGIN } });
    const { log, texts } = spy();
    const access = accessWith({
      keychains: [
        keychainOf({ username: "user", password: MARK }),
        keychainOf({ identityToken: `identity-${MARK}` }),
        keychainOf({ registryToken: `registry-${MARK}` }),
      ],
      log,
    });
    await using source = await access.openSource({ imageReference: `${registry.host}/app:v1` });
    texts.push(messagesOf(await rejectionOf(source.root())));
    expect(texts.length).toBeGreaterThan(1);
    expect(texts.filter(holdsSecret)).toEqual([]);
  });
});

describe("RegistryAccess and mirrors", () => {
  test.each(["", "http://", "https://"])(
    'are asked for all that is read, the registry named with the scheme "%s"',
    async (scheme) => {
      await using near = await startRegistry();
      await using far = TestRegistry.start();
      const host = `${scheme}${far.host}`;
      const access = accessWith({ mirrors: [{ host, mirrors: [mirror(near.host)] }] });
      await using source = await access.openSource({ imageReference: `${far.host}/app:v1` });
      await source.root();
      await collect(source.blobRange(LAYER.descriptor, { start: 0, end: 4 }));
      expect(await source.referrers(MANIFEST, ARTIFACT)).toEqual([]);
      const paths = near.requests.map(({ path }) => path.split("/")[3]);
      expect(paths.toSorted()).toEqual(["blobs", "manifests", "manifests", "referrers"]);
    },
  );

  test("give SOCI artifacts, by hosts.toml as well", async () => {
    await using near = await startRegistry();
    await using far = TestRegistry.start();
    const bytes = new TextEncoder().encode(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        artifactType: ARTIFACT,
        config: IMAGE.config.descriptor,
        layers: [],
        subject: IMAGE.descriptor,
      }),
    );
    const { digest } = near.addManifest("app", { mediaType: OCI_MANIFEST, bytes });
    await using dir = await tempDir();
    await mkdir(dir.join(far.host));
    await writeFile(
      dir.join(far.host, "hosts.toml"),
      `[host."${near.url}"]\ncapabilities = ["pull", "resolve"]\n`,
    );
    for (const options of [
      { hostsDirectory: dir.path },
      { mirrors: [{ host: far.host, mirrors: [mirror(near.url)] }] },
    ]) {
      const access = accessWith(options);
      await using source = await access.openSource({ imageReference: `${far.host}/app:v1` });
      const found = await source.referrers(MANIFEST, ARTIFACT);
      expect(found.map((referrer) => referrer.digest)).toEqual([digest]);
    }
  });

  test("one after another, then the registry itself", async () => {
    await using empty = TestRegistry.start();
    await using far = await startRegistry();
    const mirrors = [{ host: far.host, mirrors: [mirror("127.0.0.1:1"), mirror(empty.host)] }];
    await using source = await accessWith({ mirrors }).openSource({
      imageReference: `${far.host}/app:v1`,
    });
    expect(await source.root()).toEqual(IMAGE.descriptor);
    expect(empty.requests.length).toBe(1);
  });

  test("a path stands in the place of /v2", async () => {
    await using near = await startRegistry();
    await using far = await startRegistry();
    const mirrors = [{ host: far.host, mirrors: [mirror(`${near.host}/cache/hub`)] }];
    await using source = await accessWith({ mirrors }).openSource({
      imageReference: `${far.host}/app:v1`,
    });
    await source.manifest({ digest: MANIFEST });
    expect(near.requests[0]?.path).toStartWith(`/cache/hub/app/manifests/${MANIFEST}`);
  });

  test("one that is slower than its time is passed over", async () => {
    await using slow = await startRegistry({ answerDelayMs: 1500 });
    await using far = await startRegistry();
    const http = { ...HTTP, responseHeaderTimeoutMs: 10_000 };
    const one = mirror(slow.host, { requestTimeoutSec: 0.1 });
    const access = accessWith({ http, mirrors: [{ host: far.host, mirrors: [one] }] });
    await using source = await access.openSource({ imageReference: `${far.host}/app:v1` });
    await source.root();
    expect(far.requests.length).toBe(1);
  });

  test.each(["", "ftp://x", "https://", "user:password@host", "a b", "host?x=1"])(
    'refuses the host "%s"',
    (host) => {
      const make = () => accessWith({ mirrors: [{ host: "docker.io", mirrors: [mirror(host)] }] });
      expect(make).toThrow(/resolver/);
      expect(make).not.toThrow(/password/);
    },
  );
});

test("a mirror's login is asked for by the mirror's own name", async () => {
  await using near = await startRegistry({ auth: { kind: "basic", ...LOGIN } });
  const access = accessWith({
    mirrors: [{ host: "registry.example", mirrors: [mirror(near.host)] }],
    keychains: [(host) => Promise.resolve(host === near.host ? LOGIN : undefined)],
  });
  await using source = await access.openSource({ imageReference: "registry.example/app:v1" });
  expect(await source.root()).toEqual(IMAGE.descriptor);
});
