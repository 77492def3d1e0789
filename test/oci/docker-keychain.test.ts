import { describe, expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { dockerKeychain } from "../../src/oci/docker-keychain.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { helperEnv } from "./helper-script.ts";

function login(name: string): { readonly username: string; readonly password: string } {
  return { username: name, password: `password of ${name}` };
}

async function writeConfig(dir: TempDir, config: unknown, name = "config.json") {
  const path = dir.join(name);
  await writeFile(path, JSON.stringify(config));
  return { path };
}

describe("dockerKeychain()", () => {
  test.each([
    { title: "a host", key: "example.com", host: "example.com" },
    { title: "a host with a port", key: "example.com:5000", host: "example.com:5000" },
    { title: "a URL", key: "https://example.com", host: "example.com" },
    { title: "a URL with a version", key: "https://example.com/v2/", host: "example.com" },
    { title: "a host with its default port", key: "example.com:443", host: "example.com" },
    { title: "upper case", key: "Example.COM", host: "example.com" },
    { title: "Docker Hub", key: "https://index.docker.io/v1/", host: "docker.io" },
    { title: "Docker Hub by its short name", key: "docker.io", host: "docker.io" },
    { title: "Docker Hub's API", key: "registry-1.docker.io", host: "docker.io" },
  ])("finds $title", async ({ key, host }) => {
    await using dir = await tempDir();
    const file = await writeConfig(dir, { auths: { [key]: login("me") } });
    const keychain = dockerKeychain({ files: [file], env: {} });
    expect(await keychain(host, {})).toEqual(login("me"));
  });

  test.each(["example.com", "example.com:5001", "sub.example.com:5000", "com:5000", ""])(
    "has nothing for %p",
    async (host) => {
      await using dir = await tempDir();
      const file = await writeConfig(dir, { auths: { "example.com:5000": login("me") } });
      expect(await dockerKeychain({ files: [file], env: {} })(host, {})).toBeUndefined();
    },
  );

  test.each([
    { repository: "team/app", name: "app" },
    { repository: "team/app/part", name: "app" },
    { repository: "team/other", name: "team" },
    { repository: "team2", name: "all" },
    { repository: undefined, name: "all" },
  ])("takes the most specific login for $repository", async ({ repository, name }) => {
    await using dir = await tempDir();
    const file = await writeConfig(dir, {
      auths: {
        "example.com": login("all"),
        "example.com/team": login("team"),
        "example.com/team/app": login("app"),
      },
    });
    const keychain = dockerKeychain({ files: [file], env: {} });
    expect(await keychain("example.com", { repository })).toEqual(login(name));
  });

  test("asks the helper of a host, else the store, else the file", async () => {
    await using dir = await tempDir();
    const answer = (name: string) =>
      `[ "$(cat)" = none.example ] && { echo credentials not found; exit 1; }
       printf '{"Username":"${name}","Secret":"password of ${name}"}'`;
    const env = await helperEnv(dir, { own: answer("own"), store: answer("store") });
    const file = await writeConfig(dir, {
      auths: { "none.example": login("file"), "own.example": login("old") },
      credHelpers: { "own.example": "own" },
      credsStore: "store",
    });
    const keychain = dockerKeychain({ files: [file], env });
    expect(await keychain("own.example", {})).toEqual(login("own"));
    expect(await keychain("any.example", {})).toEqual(login("store"));
    expect(await keychain("none.example", {})).toEqual(login("file"));
  });

  test("asks helpers for Docker Hub by its old name", async () => {
    await using dir = await tempDir();
    const env = await helperEnv(dir, {
      test: `printf '{"Username":"%s","Secret":"x"}' "$(cat)"`,
    });
    const file = await writeConfig(dir, { credsStore: "test" });
    expect(await dockerKeychain({ files: [file], env })("docker.io", {})).toMatchObject({
      username: "https://index.docker.io/v1/",
    });
  });

  test("takes the first file that knows the host", async () => {
    await using dir = await tempDir();
    const files = [
      { path: dir.join("none.json") },
      await writeConfig(dir, { auths: { a: login("first") } }, "1.json"),
      await writeConfig(dir, { auths: { a: login("second"), b: login("second") } }, "2.json"),
    ];
    const keychain = dockerKeychain({ files, env: {} });
    expect(await keychain("a", {})).toEqual(login("first"));
    expect(await keychain("b", {})).toEqual(login("second"));
  });

  test("sees a login that is made later", async () => {
    await using dir = await tempDir();
    const keychain = dockerKeychain({ files: [{ path: dir.join("config.json") }], env: {} });
    expect(await keychain("a", {})).toBeUndefined();
    await writeConfig(dir, { auths: { a: login("me") } });
    expect(await keychain("a", {})).toEqual(login("me"));
  });

  test("fails when a file that was named is not there", async () => {
    await using dir = await tempDir();
    const files = [{ path: dir.join("none.json"), isRequired: true }];
    await expect(dockerKeychain({ files, env: {} })("a", {})).rejects.toMatchObject({
      kind: "failed-precondition",
      message: expect.stringContaining("none.json"),
    });
  });

  test("fails for a directory in the place of a file", async () => {
    await using dir = await tempDir();
    const keychain = dockerKeychain({ files: [{ path: dir.path }], env: {} });
    await expect(keychain("a", {})).rejects.toMatchObject({ kind: "failed-precondition" });
  });

  test("takes an empty file for none", async () => {
    await using dir = await tempDir();
    await writeFile(dir.join("config.json"), "");
    await chmod(dir.join("config.json"), 0o600);
    const keychain = dockerKeychain({ files: [{ path: dir.join("config.json") }], env: {} });
    expect(await keychain("a", {})).toBeUndefined();
  });
});
