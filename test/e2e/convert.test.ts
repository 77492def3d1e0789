import { expect, test } from "bun:test";
import { convertCommand } from "../../src/cli/commands/convert.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { runCli } from "../../src/cli/run-cli.ts";
import { FakeIo } from "../cli/fake-io.ts";
import { withCommands } from "../cli/commands/with-commands.ts";
import { buildImage, buildIndex } from "../support/image-builder.ts";
import { describeWith } from "../support/describe-with.ts";
import { findDockerRegistry, startDockerRegistry } from "../support/docker-registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { runProgram } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";
import { pushImage } from "./registry-copy.ts";

const registry = withCommands([convertCommand]);
const content = sampleBytes(1_000_000, 5);
const image = buildIndex([
  {
    image: await buildImage({
      layers: [{ entries: [{ name: "a", content }] }, { entries: [{ name: "b", content: "2" }] }],
    }),
    platform: { os: "linux", architecture: "amd64" },
  },
  {
    image: await buildImage({
      layers: [{ entries: [{ name: "c", content: "arm" }] }],
      platform: { os: "linux", architecture: "arm64" },
    }),
    platform: { os: "linux", architecture: "arm64" },
  },
]);

async function openStage() {
  await using resources = new AsyncDisposableStack();
  const temp = resources.use(await tempDir());
  const server = resources.use(
    await startDockerRegistry(findDockerRegistry() ?? "docker-registry", { directory: temp.path }),
  );
  await pushImage(`${server.host}/app:v1`, image);
  const owned = resources.move();
  const run = async (command: string, ...argv: readonly string[]) => {
    const io = new FakeIo({ cwd: temp.path });
    const words = [command, "--root", temp.join("root"), ...argv];
    const code = await runCli(words, { io, services: {}, registry });
    if (code !== 0) throw new Error(`sociable ${words.join(" ")}: ${io.stderrText}`);
    return io.stdoutBytes;
  };
  return {
    temp,
    host: server.host,
    run,
    convert: async (from: string, to: string) => {
      const argv = ["--json", "--all-platforms", "--min-layer-size", "0", from, to];
      const { digest } = JSON.parse(Buffer.from(await run("convert", ...argv)).toString());
      return digest as string;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function skopeo(...argv: readonly string[]): Promise<string> {
  // A registry on loopback without TLS, and no policy file, which a bare machine has not.
  const { code, stdout, stderr } = await runProgram(["skopeo", "--insecure-policy", ...argv]);
  if (code !== 0) throw new Error(`skopeo ${argv.join(" ")}: ${stderr}`);
  return Buffer.from(stdout).toString();
}

describeWith(["skopeo", "docker-registry"], "converted images, docker-registry and skopeo", () => {
  test("skopeo finds a platform's image in an index that was converted within a registry", async () => {
    await using stage = await openStage();
    const { host, temp } = stage;
    await stage.convert(`${host}/app:v1`, `${host}/copy:v1`);
    const flags = ["--override-os=linux", "--override-arch=amd64", "--src-tls-verify=false"];
    await skopeo("copy", ...flags, `docker://${host}/copy:v1`, `oci:${temp.join("copy")}:v1`);
    const raw = JSON.parse(await skopeo("inspect", "--raw", `oci:${temp.join("copy")}:v1`));
    expect(raw.layers).toHaveLength(2);
    expect(raw.annotations["com.amazon.soci.index-digest"]).toMatch(/^sha256:/);
  });

  test("all places give the same digest, and their files are read by the index", async () => {
    await using stage = await openStage();
    const { host } = stage;
    const places = [`${host}/app:v2`, `${host}/other:v1`, "oci-archive:out.tar", "oci:out"];
    const digests = [];
    for (const place of places) digests.push(await stage.convert(`${host}/app:v1`, place));
    expect(new Set(digests).size).toBe(1);
    const file = await stage.run("cat", "--platform", "linux/amd64", `${host}/other:v1`, "/a");
    expect(Buffer.from(file).equals(Buffer.from(content))).toBe(true);
  });

  test("an image goes from one registry to another one", async () => {
    await using one = await openStage();
    await using two = await openStage();
    const digest = await one.convert(`${one.host}/app:v1`, `${two.host}/far/away:v1`);
    const raw = await skopeo(
      "inspect",
      "--raw",
      "--tls-verify=false",
      `docker://${two.host}/far/away:v1`,
    );
    expect(digestOf(raw)).toBe(digest as Digest);
    const file = await two.run("cat", "--platform", "linux/amd64", `${two.host}/far/away:v1`, "/a");
    expect(Buffer.from(file).equals(Buffer.from(content))).toBe(true);
  });
});
