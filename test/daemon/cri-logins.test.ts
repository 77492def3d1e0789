import { describe, expect, test } from "bun:test";
import type { CriAuthConfig } from "../../src/containerd/api/cri-images.ts";
import { CriLogins } from "../../src/daemon/cri-logins.ts";
import { areSameCredentials, type Credentials } from "../../src/oci/credentials.ts";

const NOTHING: CriAuthConfig = {
  username: "",
  password: "",
  auth: "",
  serverAddress: "",
  identityToken: "",
  registryToken: "",
};
const APP = { image: "registry.example/app:v1", repository: "app" };
const HOST = "registry.example";

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function withLogin(auth: Partial<CriAuthConfig>, image = APP.image): CriLogins {
  const logins = new CriLogins();
  logins.put(image, { ...NOTHING, ...auth });
  return logins;
}

describe("CriLogins", () => {
  test.each<{ title: string; auth: Partial<CriAuthConfig>; credentials: Credentials }>([
    {
      title: "a user and a password",
      auth: { username: "a", password: "b", auth: base64("c:d") },
      credentials: { username: "a", password: "b" },
    },
    {
      title: "both in base64",
      auth: { auth: base64("a:b:c\0\0") },
      credentials: { username: "a", password: "b:c" },
    },
    {
      title: "an identity token",
      auth: { identityToken: "t" },
      credentials: { identityToken: "t" },
    },
    {
      title: "an identity token of a user",
      auth: { identityToken: "t", username: "a" },
      credentials: { identityToken: "t", username: "a" },
    },
    {
      title: "a registry token",
      auth: { registryToken: "t" },
      credentials: { registryToken: "t" },
    },
  ])("take $title", async ({ auth, credentials }) => {
    expect(await withLogin(auth).keychain(HOST, APP)).toEqual(credentials);
  });

  test.each([
    { title: "nothing", auth: {} },
    { title: "base64 without a colon", auth: { auth: base64("ab") } },
    { title: "no base64", auth: { auth: "!!" } },
  ])("pass over $title", ({ auth }) => {
    const logins = new CriLogins();
    expect(logins.put(APP.image, { ...NOTHING, ...auth })).toBe(false);
    expect(logins.size).toBe(0);
  });

  test.each(["", "A b", "a@b", "x".repeat(2000)])('pass over the name "%.20s"', (image) => {
    const logins = new CriLogins();
    expect(logins.put(image, { ...NOTHING, registryToken: "t" })).toBe(false);
  });

  const login = { username: "a", password: "b" };

  test("are for the image's own registry alone when no server is named", async () => {
    const { keychain } = withLogin(login);
    expect(await keychain("mirror.example", APP)).toBeUndefined();
    expect(await keychain(HOST, APP)).toEqual(login);
  });

  test.each(["registry.example", "https://registry.example", "https://Registry.example/v2/"])(
    "are for the server that is named: %s",
    async (serverAddress) => {
      expect(await withLogin({ ...login, serverAddress }).keychain(HOST, APP)).toEqual(login);
    },
  );

  test("are for no other server than the one that is named", async () => {
    const { keychain } = withLogin({ ...login, serverAddress: "https://other.example" });
    expect(await keychain(HOST, APP)).toBeUndefined();
    expect(await keychain("other.example", APP)).toEqual(login);
  });

  test("know Docker Hub by its names", async () => {
    const serverAddress = "https://index.docker.io/v1/";
    const { keychain } = withLogin({ ...login, serverAddress }, "nginx");
    const image = { image: "docker.io/library/nginx:latest", repository: "library/nginx" };
    expect(await keychain("docker.io", image)).toEqual(login);
  });

  test("of an image by tag and digest are found by its digest", async () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const { keychain } = withLogin(login, `registry.example/app:v1@${digest}`);
    expect(await keychain(HOST, { image: `registry.example/app@${digest}` })).toEqual(login);
  });

  test("are given the newest first, and then those that are not refused", async () => {
    const logins = new CriLogins();
    for (const password of ["1", "2", "3", "4", "5"]) {
      logins.put(APP.image, { ...NOTHING, username: "a", password });
    }
    const refused: Credentials[] = [];
    const isRefused = (one: Credentials): boolean =>
      refused.some((other) => areSameCredentials(one, other));
    for (;;) {
      const found = await logins.keychain(HOST, { ...APP, isRefused });
      if (found === undefined) break;
      refused.push(found);
    }
    expect(refused).toEqual(["5", "4", "3", "2"].map((password) => ({ username: "a", password })));
  });

  test("of another image of the repository come second, of another repository never", async () => {
    const logins = new CriLogins();
    logins.put("registry.example/app:v2", { ...NOTHING, ...login });
    logins.put("registry.example/other:v1", { ...NOTHING, registryToken: "t" });
    expect(await logins.keychain(HOST, APP)).toEqual(login);
    const third = { image: "registry.example/third:v1", repository: "third" };
    expect(await logins.keychain(HOST, third)).toBeUndefined();
  });

  test("are forgotten with their image, by any of its names", async () => {
    for (const name of ["registry.example/app:v1", "sha256:id", "id"]) {
      const logins = withLogin(login);
      logins.nameId(APP.image, "sha256:id");
      logins.remove("registry.example/app:v2");
      expect(logins.size).toBe(1);
      logins.remove(name);
      expect(logins.size).toBe(0);
    }
  });

  test("of the images pulled longest ago go when there are too many", () => {
    const logins = new CriLogins();
    for (let at = 0; at < 5000; at++) {
      logins.put(`registry.example/app:v${at}`, { ...NOTHING, ...login });
    }
    expect(logins.size).toBe(4096);
  });
});
