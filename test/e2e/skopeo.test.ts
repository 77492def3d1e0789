import { beforeAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { digestOf } from "../../src/oci/digest.ts";
import { buildImage, writeLayout } from "../support/image-builder.ts";
import { describeWith } from "../support/describe-with.ts";
import { findDockerRegistry, startDockerRegistry } from "../support/docker-registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import {
  buildSociable,
  type Finished,
  runProgram,
  sociable,
  sociableJson,
  sociableOutput,
} from "../support/sociable-binary.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

beforeAll(buildSociable, 120_000);

const content = sampleBytes(1_000_000, 5);
const image = await buildImage({
  layers: [{ entries: [{ name: "a", content }] }, { entries: [{ name: "b", content: "second" }] }],
});
const CREATE = ["create", "--json", "--min-layer-size", "0"];

async function skopeo(argv: readonly string[]): Promise<Finished> {
  // A registry on loopback without TLS, and no policy file, which a bare machine has not.
  const finished = await runProgram(["skopeo", "--insecure-policy", ...argv]);
  if (finished.code !== 0) throw new Error(`skopeo ${argv.join(" ")}: ${finished.stderr}`);
  return finished;
}

/** docker-registry with the image in it, put there by skopeo. */
async function openStage() {
  await using resources = new AsyncDisposableStack();
  const temp = resources.use(await tempDir());
  const registry = resources.use(
    await startDockerRegistry(findDockerRegistry() ?? "docker-registry", { directory: temp.path }),
  );
  await writeLayout(temp.join("layout"), { image, tag: "v1" });
  const name = `${registry.host}/app:v1`;
  const layout = `oci:${temp.join("layout")}:v1`;
  await skopeo(["copy", "--dest-tls-verify=false", layout, `docker://${name}`]);
  const owned = resources.move();
  return { temp, name, layout, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function indexOf(temp: TempDir, name: string): Promise<string> {
  const [{ digest }] = (await sociableJson(temp.join("builder"), [...CREATE, name])) as readonly [
    { readonly digest: string },
  ]; // what --json promises
  return digest;
}

describeWith(["skopeo", "docker-registry"], "skopeo and sociable", () => {
  test("an image that skopeo pushed is indexed, and its files read", async () => {
    await using stage = await openStage();
    await indexOf(stage.temp, stage.name);
    await sociableOutput(stage.temp.join("builder"), ["push", stage.name]);
    const argv = ["cat", stage.name, "/b", "/a"];
    const { stdout, stderr } = await sociable(stage.temp.join("reader"), argv);
    expect(stderr).toBe("");
    expect(Buffer.from(stdout).equals(Buffer.concat([Buffer.from("second"), content]))).toBe(true);
  });

  test("skopeo reads the fallback tag that push wrote, and the index it lists", async () => {
    await using stage = await openStage();
    const digest = await indexOf(stage.temp, stage.name);
    await sociableOutput(stage.temp.join("builder"), ["push", stage.name]);
    const repository = stage.name.replace(/:v1$/, "");
    const inspect = async (reference: string) =>
      await skopeo(["inspect", "--raw", "--tls-verify=false", `docker://${reference}`]);
    const tag = image.descriptor.digest.replace(":", "-");
    const listed = JSON.parse(
      Buffer.from((await inspect(`${repository}:${tag}`)).stdout).toString(),
    );
    expect(listed).toMatchObject({
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [{ digest, artifactType: "application/vnd.amazon.soci.index.v1+json" }],
    });
    const raw = (await inspect(`${repository}@${digest}`)).stdout;
    expect(digestOf(raw) as string).toBe(digest);
    expect(JSON.parse(Buffer.from(raw).toString())).toMatchObject({
      subject: { digest: image.descriptor.digest },
    });
  });

  test("skopeo copies the SOCI index as an artifact, blobs and all", async () => {
    await using stage = await openStage();
    const digest = await indexOf(stage.temp, stage.name);
    await sociableOutput(stage.temp.join("builder"), ["push", stage.name]);
    const from = `docker://${stage.name.replace(/:v1$/, "")}@${digest}`;
    const to = stage.temp.join("copy");
    await skopeo(["copy", "--src-tls-verify=false", from, `dir:${to}`]);
    expect(digestOf(await readFile(`${to}/manifest.json`)) as string).toBe(digest);
  });

  test("an image in a layout or an archive that skopeo wrote has the index of the one in the registry", async () => {
    await using stage = await openStage();
    const { temp } = stage;
    const names = [`oci:${temp.join("again")}:v1`, `oci-archive:${temp.join("image.tar")}:v1`];
    for (const name of names) {
      await skopeo(["copy", "--src-tls-verify=false", `docker://${stage.name}`, name]);
    }
    const want = await indexOf(temp, stage.name);
    const got = [];
    for (const [i, name] of names.entries()) {
      const [{ digest }] = (await sociableJson(temp.join(`root-${i}`), [...CREATE, name])) as [
        { readonly digest: string },
      ]; // what --json promises
      got.push(digest);
    }
    expect(got).toEqual([want, want]);
  });

  test("a docker archive that skopeo wrote is indexed, and its files read", async () => {
    await using stage = await openStage();
    const { temp } = stage;
    const name = `docker-archive:${temp.join("docker.tar")}`;
    await skopeo(["copy", "--src-tls-verify=false", `docker://${stage.name}`, `${name}:app:v1`]);
    await indexOf(temp, name);
    const { stdout, stderr } = await sociable(temp.join("builder"), ["cat", name, "/b", "/a"]);
    expect(stderr).toBe("");
    expect(Buffer.from(stdout).equals(Buffer.concat([Buffer.from("second"), content]))).toBe(true);
  });
});
