import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  passwordEnvironment,
  type RegistryFlagValues,
  registryOptions,
} from "../../src/cli/registry-options.ts";
import { NO_LOG } from "../../src/observability/log.ts";
import type { OpenRegistryOptions } from "../../src/oci/open-image-source.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { messagesOf, rejectionOf } from "../support/failure.ts";
import { tempDir } from "../support/temp-dir.ts";
import { FakeIo, type FakeIoOptions } from "./fake-io.ts";

const FLAGS: RegistryFlagValues = {
  user: undefined,
  "plain-http": false,
  "skip-verify": false,
  "hosts-dir": undefined,
  tlscacert: undefined,
  tlscert: undefined,
  tlskey: undefined,
};

async function optionsOf(
  flags: Partial<RegistryFlagValues>,
  ioOptions: FakeIoOptions = {},
): Promise<OpenRegistryOptions & { readonly asked: string }> {
  const io = new FakeIo(ioOptions);
  const { registry } = parseReference("registry.example/app");
  const { signal } = io;
  const options = await registryOptions(registry, {
    flags: { ...FLAGS, ...flags },
    io,
    log: NO_LOG,
    signal,
  });
  return { ...options, asked: io.stderrText };
}

describe("registryOptions() and --user", () => {
  test.each([
    { user: "me:pass", password: "pass" },
    { user: "me:pa:ss:", password: "pa:ss:" },
  ])("takes the password of $user from the command line", async ({ user, password }) => {
    expect((await optionsOf({ user })).credentials).toEqual({ username: "me", password });
  });

  test.each(["me", "me:"])("asks on a terminal for the password of %p", async (user) => {
    const options = await optionsOf({ user }, { stdinIsTty: true, secret: "pass" });
    expect(options.credentials).toEqual({ username: "me", password: "pass" });
    expect(options.asked).toBe("Password of me at registry.example: ");
  });

  test("asks once for a process in the background, which asks no more", async () => {
    const { registry } = parseReference("registry.example/app");
    const io = new FakeIo({ stdinIsTty: true, secret: "pass" });
    const env = await passwordEnvironment({ user: "me" }, registry, io);
    const options = await optionsOf({ user: "me" }, { env });
    expect(options.credentials).toEqual({ username: "me", password: "pass" });
    expect(await passwordEnvironment({ user: undefined }, registry, io)).toEqual({});
  });

  test.each([
    { title: "a line", chunks: ["pass\n"], password: "pass" },
    { title: "a line of another system", chunks: ["pass\r\n"], password: "pass" },
    { title: "a line without end", chunks: ["pass"], password: "pass" },
    { title: "a line in pieces", chunks: ["pa", "ss", "\nmore"], password: "pass" },
  ])("reads $title from standard input that is no terminal", async ({ chunks, password }) => {
    const stdin = chunks.map((text) => new TextEncoder().encode(text));
    expect((await optionsOf({ user: "me" }, { stdin })).credentials).toEqual({
      username: "me",
      password,
    });
  });

  test.each([
    { title: "no user", user: ":pass", io: {} },
    { title: "nothing", user: "", io: {} },
    { title: "no password on standard input", user: "me", io: { stdin: [] } },
    {
      title: "an empty line for a password",
      user: "me",
      io: { stdin: [new TextEncoder().encode("\n")] },
    },
    { title: "no password at the terminal", user: "me", io: { stdinIsTty: true, secret: "" } },
    {
      title: "a line without end in sight",
      user: "me",
      io: { stdin: Array.from({ length: 3 }, () => new Uint8Array(40_000).fill(0x41)) },
    },
  ])("refuses $title", async ({ user, io }) => {
    const error = await rejectionOf(optionsOf({ user }, io));
    expect(error).toMatchObject({ kind: "invalid-argument" });
    expect(messagesOf(error)).not.toContain("pass:");
  });
});

describe("registryOptions()", () => {
  test("has no credentials without --user, but looks for logins in the environment's files", async () => {
    await using dir = await tempDir();
    const auths = { "registry.example": { username: "me", password: "stored" } };
    await writeFile(dir.join("config.json"), JSON.stringify({ auths }));
    const options = await optionsOf({}, { env: { DOCKER_CONFIG: dir.path } });
    expect(options.credentials).toBeUndefined();
    await expect(options.keychain?.("registry.example", {})).resolves.toEqual({
      username: "me",
      password: "stored",
    });
  });

  test("takes paths relative to the working directory", async () => {
    await using dir = await tempDir();
    await mkdir(dir.join("certs.d"));
    const flags = {
      "hosts-dir": "certs.d",
      tlscacert: "ca.pem",
      tlscert: "me.pem",
      tlskey: "me.key",
    };
    const options = await optionsOf(flags, { cwd: dir.path });
    expect(options.hostsDirectory).toBe(dir.join("certs.d"));
    expect(options.tls).toEqual({
      ca: [dir.join("ca.pem")],
      client: { cert: dir.join("me.pem"), key: dir.join("me.key") },
      skipVerify: undefined,
    });
  });

  test("refuses a directory of hosts that is not there", async () => {
    await using dir = await tempDir();
    await expect(optionsOf({ "hosts-dir": join(dir.path, "none") })).rejects.toMatchObject({
      kind: "invalid-argument",
    });
  });

  test("refuses a key without its certificate", async () => {
    await expect(optionsOf({ tlskey: "me.key" })).rejects.toMatchObject({
      kind: "invalid-argument",
    });
  });

  test("takes proxies from the environment", async () => {
    const env = { https_proxy: "proxy:3128", NO_PROXY: "direct.example" };
    const { proxyFor } = await optionsOf({}, { env });
    expect(proxyFor?.(new URL("https://registry.example/"))?.href).toBe("http://proxy:3128/");
    expect(proxyFor?.(new URL("https://direct.example/"))).toBeUndefined();
    expect(proxyFor?.(new URL("http://registry.example/"))).toBeUndefined();
  });
});
