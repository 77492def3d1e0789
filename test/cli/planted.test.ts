import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { TestRegistry } from "../support/registry.ts";
import { buildSociable, SOCIABLE } from "../support/sociable-binary.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";
import { TlsFront } from "../support/tls-front.ts";

beforeAll(buildSociable, 120_000);

interface Planted {
  readonly title: string;
  /** Files of the working directory; `PROOF` stands for what makes a file `proof` there. */
  readonly files: Readonly<Record<string, string>>;
  /** `DIR` stands for the working directory. */
  readonly env: Readonly<Record<string, string>>;
}

const CASES: readonly Planted[] = [
  { title: "bunfig.toml", files: { "bunfig.toml": 'preload = ["./evil.ts"]\n' }, env: {} },
  { title: ".bunfig.toml", files: { ".bunfig.toml": 'preload = ["./evil.ts"]\n' }, env: {} },
  {
    title: "a bunfig.toml of the user",
    files: { ".bunfig.toml": 'preload = ["./evil.ts"]\n' },
    env: { HOME: "DIR", XDG_CONFIG_HOME: "DIR" },
  },
  {
    title: "a package.json",
    files: { "package.json": '{"main":"evil.ts","scripts":{"preinstall":"./evil.ts"}}' },
    env: {},
  },
  {
    title: "a tsconfig.json",
    files: { "tsconfig.json": '{"compilerOptions":{"paths":{"*":["./evil.ts"]}}}' },
    env: {},
  },
  {
    title: "packages of our names",
    files: {
      "node_modules/citty/index.js": "PROOF",
      "node_modules/smol-toml/index.js": "PROOF",
      "node_modules/@grpc/grpc-js/index.js": "PROOF",
    },
    env: {},
  },
  {
    title: "options of the runtime in .env",
    files: { ".env": "BUN_OPTIONS=--preload=./evil.ts\nNODE_OPTIONS=--require=./evil.ts\n" },
    env: {},
  },
  { title: "NODE_OPTIONS", files: {}, env: { NODE_OPTIONS: "--require=DIR/evil.ts" } },
  { title: "BUN_INSPECT_PRELOAD", files: {}, env: { BUN_INSPECT_PRELOAD: "DIR/evil.ts" } },
  { title: "BUN_CONFIG_PRELOAD", files: {}, env: { BUN_CONFIG_PRELOAD: "DIR/evil.ts" } },
  { title: "NODE_PATH", files: {}, env: { NODE_PATH: "DIR/node_modules" } },
];

/** Runs a command that loads most of the program, in a directory that somebody has prepared. */
async function runIn(dir: TempDir, { files, env }: Omit<Planted, "title">): Promise<number> {
  const proof = `require("node:fs").writeFileSync(${JSON.stringify(dir.join("proof"))}, "");\n`;
  for (const [path, text] of Object.entries({ "evil.ts": "PROOF", ...files })) {
    await mkdir(dirname(dir.join(path)), { recursive: true });
    await writeFile(dir.join(path), text.replace("PROOF", proof));
  }
  const child = Bun.spawn([SOCIABLE, "pull", "--address", dir.join("none"), "localhost:9/a:b"], {
    cwd: dir.path,
    env: {
      PATH: process.env["PATH"],
      HOME: "/nonexistent",
      ...Object.fromEntries(
        Object.entries(env).map(([name, value]) => [name, value.replace("DIR", dir.path)]),
      ),
    },
    stdio: ["ignore", "ignore", "ignore"],
  });
  return await child.exited;
}

describe("dist/sociable in a directory of somebody else", () => {
  test.each([...CASES])("runs nothing of $title", async (planted) => {
    await using dir = await tempDir();
    expect(await runIn(dir, planted)).toBe(1);
    expect(existsSync(dir.join("proof"))).toBe(false);
    expect(await readdir(dir.path)).not.toContain("none");
  });

  // Who sets it can set LD_PRELOAD as well; the service's unit takes both away.
  test("would run what BUN_OPTIONS says, as the runtime documents", async () => {
    await using dir = await tempDir();
    await runIn(dir, { files: {}, env: { BUN_OPTIONS: "--preload=DIR/evil.ts" } });
    expect(existsSync(dir.join("proof"))).toBe(true);
  });
});

interface Distrusted {
  readonly title: string;
  /** What makes `ls` speak TLS to the front, which nobody has a reason to trust. */
  readonly arrange: (stage: {
    readonly dir: TempDir;
    readonly registry: TestRegistry;
    readonly front: TlsFront;
    readonly certificates: Certificates;
  }) => Promise<{ readonly words: readonly string[]; readonly env?: Record<string, string> }>;
}

const DISTRUSTED: readonly Distrusted[] = [
  {
    title: "of a registry with TLS settings",
    // localhost is spoken to without TLS unless there are TLS settings for it: another CA is one.
    arrange: async ({ front, certificates }) => ({
      words: ["--tlscacert", certificates.otherServer.certFile, `${front.host}/app:1`],
    }),
  },
  {
    title: "of a registry without any settings",
    arrange: async ({ dir, front }) => {
      const hosts = dir.join("certs.d", front.host.replace(/:(\d+)$/, "_$1_"));
      await mkdir(hosts, { recursive: true });
      await writeFile(`${hosts}/hosts.toml`, `server = "https://${front.host}"\n`);
      return { words: ["--hosts-dir", dir.join("certs.d"), `${front.host}/app:1`] };
    },
  },
  {
    title: "of the host that gives tokens",
    arrange: async ({ registry, front }) => {
      const realm = `https://${front.host}/token`;
      registry.manners.auth = { kind: "bearer", realm, username: "me", password: "secret" };
      return { words: ["--user", "me:secret", `${registry.host}/app:1`] };
    },
  },
  {
    title: "of a proxy",
    arrange: async ({ front }) => ({
      words: ["--plain-http", "registry.invalid/app:1"],
      env: { HTTP_PROXY: `https://${front.host}` },
    }),
  },
];

describe("dist/sociable, whatever NODE_TLS_REJECT_UNAUTHORIZED says,", () => {
  test.each([...DISTRUSTED])("checks the certificate $title", async ({ arrange }) => {
    await using dir = await tempDir();
    await using registry = TestRegistry.start();
    // Behind the front, so that what comes through it is seen.
    await using behind = TestRegistry.start();
    const certificates = await makeCertificates(dir);
    await using front = await TlsFront.start({ target: behind.host, certificates });
    const { words, env } = await arrange({ dir, registry, front, certificates });
    const child = Bun.spawn([SOCIABLE, "ls", "--root", dir.join("root"), ...words], {
      env: { ...process.env, ...env, NODE_TLS_REJECT_UNAUTHORIZED: "0" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const stderr = await new Response(child.stderr).text();
    expect(await child.exited).toBe(1);
    expect(stderr).toMatch(/certificate/i);
    expect([...behind.requests, ...behind.tokenRequests]).toEqual([]);
  });
});
