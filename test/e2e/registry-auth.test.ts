import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { describeWith } from "../support/describe-with.ts";
import {
  type DockerRegistry,
  findDockerRegistry,
  startDockerRegistry,
} from "../support/docker-registry.ts";
import { buildImage, writeLayout } from "../support/image-builder.ts";
import { startNginxMirror } from "../support/nginx-mirror.ts";
import { basic } from "../support/registry-answers.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import {
  buildSociable,
  type Finished,
  type RunOptions,
  runProgram,
  sociable,
} from "../support/sociable-binary.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const LOGIN = { username: "me", password: "s3cr3t-of-the-registry" };
const content = sampleBytes(800_000, 7);
const image = await buildImage({ layers: [{ entries: [{ name: "file", content }] }] });
const CREATE = ["create", "--json", "--min-layer-size", "0"];

/** A registry with TLS and a login, the image in it, put there by skopeo. */
interface Stage extends AsyncDisposable {
  readonly temp: TempDir;
  readonly registry: DockerRegistry;
  readonly certificates: Certificates;
  readonly name: string;
  /** What everybody needs to trust the registry. */
  readonly trust: readonly string[];
}

async function succeed(finished: Promise<Finished>): Promise<Uint8Array> {
  const { code, stdout, stderr } = await finished;
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

async function skopeo(argv: readonly string[], options?: RunOptions): Promise<Uint8Array> {
  return await succeed(runProgram(["skopeo", "--insecure-policy", ...argv], options));
}

async function openStage({ clients = false } = {}): Promise<Stage> {
  await using resources = new AsyncDisposableStack();
  const temp = resources.use(await tempDir());
  const certificates = await makeCertificates(temp);
  const { ca, server, client } = certificates;
  const registry = resources.use(
    await startDockerRegistry(findDockerRegistry() ?? "docker-registry", {
      directory: temp.path,
      tls: { ...server, ...(clients ? { clientCaFile: ca.certFile } : {}) },
      login: LOGIN,
    }),
  );
  // As skopeo wants its certificates.
  await mkdir(temp.join("skopeo"));
  await writeFile(temp.join("skopeo/ca.crt"), ca.cert);
  await writeFile(temp.join("skopeo/me.cert"), client.cert);
  await writeFile(temp.join("skopeo/me.key"), client.key);
  await writeLayout(temp.join("layout"), { image, tag: "v1" });
  const name = `${registry.host}/team/app:v1`;
  const creds = `${LOGIN.username}:${LOGIN.password}`;
  const flags = ["--dest-creds", creds, "--dest-cert-dir", temp.join("skopeo")];
  await skopeo(["copy", ...flags, `oci:${temp.join("layout")}:v1`, `docker://${name}`]);
  const trust = ["--tlscacert", ca.certFile];
  const owned = resources.move();
  return {
    temp,
    registry,
    certificates,
    name,
    trust,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function withPassword(): RunOptions {
  return { input: `${LOGIN.password}\n` };
}

/** Makes the index and pushes it, logged in. */
async function pushIndex(
  { temp, name, trust }: Stage,
  more: readonly string[] = [],
): Promise<string> {
  const flags = [...trust, ...more, "--user", LOGIN.username];
  const root = temp.join("builder");
  const created = await succeed(sociable(root, [...CREATE, ...flags, name], withPassword()));
  await succeed(sociable(root, ["push", ...flags, name], withPassword()));
  const [{ digest }] = JSON.parse(Buffer.from(created).toString()) as [{ digest: string }]; // what --json promises
  return digest;
}

/** Only the login in a file of its own: nobody's own files count here. */
async function loginFile(temp: TempDir, text: string): Promise<RunOptions> {
  await writeFile(temp.join("auth.json"), text);
  return { env: { REGISTRY_AUTH_FILE: temp.join("auth.json") } };
}

describeWith(
  ["docker-registry", "skopeo", "openssl"],
  "docker-registry with TLS and a login",
  () => {
    let stage: Stage;
    beforeAll(async () => {
      await buildSociable();
      stage = await openStage();
    }, 120_000);
    afterAll(() => stage[Symbol.asyncDispose]());

    test("create and push log in, and skopeo reads what they pushed", async () => {
      const { temp, name } = stage;
      const digest = await pushIndex(stage);
      const creds = `${LOGIN.username}:${LOGIN.password}`;
      const flags = ["--raw", "--creds", creds, "--cert-dir", temp.join("skopeo")];
      const inspect = async (reference: string): Promise<unknown> =>
        JSON.parse(
          Buffer.from(await skopeo(["inspect", ...flags, `docker://${reference}`])).toString(),
        );
      const repository = name.replace(/:v1$/, "");
      expect(await inspect(`${repository}@${digest}`)).toMatchObject({
        subject: { digest: image.descriptor.digest },
      });
      const tag = image.descriptor.digest.replace(":", "-");
      expect(await inspect(`${repository}:${tag}`)).toMatchObject({ manifests: [{ digest }] });
    });

    test("ls and cat use the login that skopeo has stored", async () => {
      const { temp, name, trust, registry } = stage;
      await pushIndex(stage);
      const env = { REGISTRY_AUTH_FILE: temp.join("stored.json") };
      const flags = ["--cert-dir", temp.join("skopeo"), "-u", LOGIN.username, "--password-stdin"];
      await skopeo(["login", ...flags, registry.host], { ...withPassword(), env });
      const reader = temp.join("reader");
      const listed = await succeed(sociable(reader, ["ls", ...trust, name], { env }));
      expect(Buffer.from(listed).toString()).toBe("file\n");
      const bytes = await succeed(sociable(reader, ["cat", ...trust, name, "/file"], { env }));
      expect(Buffer.from(bytes).equals(content)).toBe(true);
    });

    test("a credential helper gives the login, and no process shows it", async () => {
      const { temp, name, trust, registry } = stage;
      const helper = temp.join("docker-credential-e2e");
      const seen = temp.join("processes");
      const answer = JSON.stringify({ Username: LOGIN.username, Secret: LOGIN.password });
      await writeFile(temp.join("answer.json"), answer);
      await writeFile(
        helper,
        `#!/bin/sh\ncat /proc/[0-9]*/cmdline >> ${seen} 2>/dev/null\ncat ${temp.join("answer.json")}\n`,
      );
      await chmod(helper, 0o755);
      const { env } = await loginFile(temp, `{"credHelpers":{"${registry.host}":"e2e"}}`);
      const argv = ["ls", "--log-level", "debug", ...trust, name];
      const path = `${temp.path}:${process.env["PATH"]}`;
      const { code, stderr } = await sociable(temp.join("reader"), argv, {
        env: { ...env, PATH: path },
      });
      expect(code).toBe(0);
      expect(await readFile(seen, "latin1")).toContain("docker-credential-e2e");
      for (const text of [await readFile(seen, "latin1"), stderr]) {
        expect(text).not.toContain(LOGIN.password);
        expect(text).not.toContain(basic(LOGIN.username, LOGIN.password).slice(6));
      }
    });

    test.each([
      { title: "no login", says: "docker login", flags: [], input: "" },
      { title: "a wrong password", says: "were not taken", flags: ["-u", "me"], input: "wrong\n" },
    ])("fails with $title, and says why", async ({ says, flags, input }) => {
      const { temp, name, trust } = stage;
      const options = { ...(await loginFile(temp, "{}")), input };
      const { code, stdout, stderr } = await sociable(
        temp.join("reader"),
        ["ls", ...trust, ...flags, name],
        options,
      );
      expect({ code, stdout: stdout.length }).toEqual({ code: 1, stdout: 0 });
      expect(stderr).toContain(says);
    });

    test("says what may be missing where TLS is spoken on this machine", async () => {
      const { temp, name } = stage;
      const { code, stderr } = await sociable(temp.join("reader"), ["ls", name]);
      expect(code).toBe(1);
      expect(stderr).toContain("If it speaks TLS: --tlscacert");
    });

    test("fails where nobody vouches for the registry, unless that is taken", async () => {
      const { temp, registry, certificates, name } = stage;
      const directory = temp.join("certs.d", registry.host);
      await mkdir(directory, { recursive: true });
      await writeFile(`${directory}/hosts.toml`, `server = "https://${registry.host}"\n`);
      const run = async (flags: readonly string[]): Promise<Finished> =>
        await sociable(temp.join("reader"), ["ls", ...flags, "-u", "me", name], withPassword());
      const strict = await run(["--hosts-dir", temp.join("certs.d")]);
      expect(strict).toMatchObject({ code: 1 });
      expect(strict.stderr).toContain("certificate");
      expect(await run(["--skip-verify"])).toMatchObject({ code: 0 });
      await writeFile(`${directory}/hosts.toml`, `ca = "${certificates.ca.certFile}"\n`);
      expect(await run(["--hosts-dir", temp.join("certs.d")])).toMatchObject({ code: 0 });
    });
  },
);

describeWith(
  ["docker-registry", "skopeo", "openssl"],
  "docker-registry that checks clients",
  () => {
    test("--tlscert and --tlskey say who it is", async () => {
      await buildSociable();
      await using stage = await openStage({ clients: true });
      const { client } = stage.certificates;
      const identity = ["--tlscert", client.certFile, "--tlskey", client.keyFile];
      await pushIndex(stage, identity);
      const argv = [...stage.trust, "-u", "me", stage.name];
      const run = async (flags: readonly string[]): Promise<Finished> =>
        await sociable(stage.temp.join("reader"), ["ls", ...flags, ...argv], withPassword());
      expect(await run(identity)).toMatchObject({ code: 0 });
      expect(await run([])).toMatchObject({ code: 1 });
    }, 120_000);
  },
);

describeWith(
  ["docker-registry", "skopeo", "openssl", "nginx"],
  "nginx as a mirror of docker-registry",
  () => {
    test("files come by way of the mirror, then from its cache alone; pushes go past it", async () => {
      await buildSociable();
      await using stage = await openStage();
      const { temp, registry, certificates, name, trust } = stage;
      await using mirror = await startNginxMirror({
        directory: temp.join("nginx"),
        target: registry.host,
        certificate: certificates.server,
        authorization: basic(LOGIN.username, LOGIN.password),
      });
      const directory = temp.join("certs.d", registry.host.replace(":", "_").concat("_"));
      await mkdir(directory, { recursive: true });
      await writeFile(
        `${directory}/hosts.toml`,
        `server = "https://${registry.host}"
[host."https://${mirror.host}"]
capabilities = ["pull", "resolve"]
`,
      );
      const hosts = ["--hosts-dir", temp.join("certs.d")];
      await pushIndex(stage, hosts);
      // Without a login: only the mirror can have given it.
      const nobody = await loginFile(temp, "{}");
      const argv = ["cat", ...trust, ...hosts, name, "/file"];
      const first = await succeed(sociable(temp.join("reader"), argv, nobody));
      expect(Buffer.from(first).equals(content)).toBe(true);
      await registry[Symbol.asyncDispose]();
      const { code, stdout } = await sociable(temp.join("reader"), argv, nobody);
      expect(code).toBe(0);
      expect(Buffer.from(stdout).equals(content)).toBe(true);
    }, 120_000);
  },
);
