import { afterAll, beforeAll, expect, test } from "bun:test";
import { hostPlatform } from "../../src/oci/platform.ts";
import { decodeSociIndex } from "../../src/soci/soci-index.ts";
import { runInProcess } from "../cli/fake-io.ts";
import { collectGarbage } from "../support/containerd-garbage.ts";
import { putContainerdImage } from "../support/containerd-image.ts";
import { CONTAINERD_PROGRAMS } from "../support/containerd-process.ts";
import { describeMounts } from "../support/describe-mounts.ts";
import {
  addImage,
  type BuiltImage,
  type BuiltIndex,
  buildImage,
  buildIndex,
} from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { type SociRun, SociStage } from "./soci-stage.ts";

const HOST = hostPlatform();
const OTHER = { os: "linux", architecture: "s390x" };

const image = await buildImage({
  layers: [1, 2].map((seed) => ({
    entries: [{ name: `file-${seed}`, content: sampleBytes(100_000, seed) }],
  })),
  platform: HOST,
});
const other = await buildImage({
  layers: [{ entries: [{ name: "other", content: "other\n" }] }],
  platform: OTHER,
});
const both = buildIndex([
  { image, platform: HOST },
  { image: other, platform: OTHER },
]);

const CHECKING = "checking if a soci index already exists in remote repository...";
const lines = (text: string): string[] => text.split("\n").filter(Boolean).toSorted();

describeMounts(CONTAINERD_PROGRAMS, "soci push, and indexes in containerd", () => {
  let stage: SociStage;
  let images = 0;

  beforeAll(async () => {
    stage = await SociStage.start();
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  });

  /** A run whose namespace has an image, and so has its registry. */
  const pushable = async (
    built: BuiltImage | BuiltIndex,
    contentStore?: "containerd" | "soci",
  ): Promise<SociRun & { readonly name: string; readonly repository: string }> => {
    images += 1;
    const repository = `pushed-${images}`;
    const name = `${stage.registry.host}/${repository}:v1`;
    await addImage(stage.registry, repository, { image: built, tag: "v1" });
    const run = stage.newRun(contentStore);
    await putContainerdImage(run.space, { name, image: built });
    return { ...run, name, repository };
  };

  const created = async (run: SociRun, argv: readonly string[]): Promise<string> => {
    const { code, stderr } = await run.soci(["create", "--min-layer-size", "0", ...argv]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return (await run.soci(["index", "list", "-q"])).stdout.split("\n")[0] ?? "";
  };

  const push = (run: SociRun & { readonly name: string }, ...argv: readonly string[]) =>
    run.soci(["push", "--plain-http", ...argv, run.name]);

  test.each([{ contentStore: "containerd" as const }, { contentStore: "soci" as const }])(
    "pushes from the store $contentStore, and says what it does",
    async ({ contentStore }) => {
      const run = await pushable(image, contentStore);
      const index = await created(run, [run.name]);
      const { stdout: info } = await run.soci(["index", "info", index]);
      const blobs = decodeSociIndex(Buffer.from(info)).blobs.map(({ digest }) => digest);
      const first = await push(run);
      expect(first).toMatchObject({ code: 0, stderr: "" });
      const sent = [
        ...blobs,
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        index,
      ];
      expect(lines(first.stdout)).toEqual(
        [
          CHECKING,
          `pushing soci index with digest: ${index}`,
          `skipped artifact with digest: ${image.descriptor.digest}`,
          ...sent.flatMap((digest) => [
            `pushing artifact with digest: ${digest}`,
            `successfully pushed artifact with digest: ${digest}`,
          ]),
        ].toSorted(),
      );
      const found = `soci index found in remote repository with digest: ${index}`;
      expect((await push(run)).stdout.split("\n")).toEqual([
        CHECKING,
        `[WARN] ${found}: pushing index anyway`,
        `pushing soci index with digest: ${index}`,
        `skipped artifact with digest: ${index}`,
        "",
      ]);
      expect((await push(run, "--existing-index", "skip")).stdout.split("\n")).toEqual([
        CHECKING,
        `${found}: skipping pushing artifacts for image manifest: ${image.descriptor.digest}`,
        "",
      ]);
      expect((await push(run, "-q", "--existing-index", "allow")).stdout).toBe(`${index}\n`);
      expect((await push(run, "-q", "--existing-index", "skip")).stdout).toBe("");
    },
  );

  test("pushes every platform after a collection, and nothing when one has no index", async () => {
    const run = await pushable(both);
    await created(run, [run.name]);
    expect(await push(run, "--all-platforms")).toMatchObject({
      code: 1,
      stdout: "",
      stderr: "soci: could not find any soci index manifest v1 to push for platform linux/s390x\n",
    });
    await created(run, ["--platform", "linux/s390x", run.name]);
    await collectGarbage(run.space);
    const { code, stdout } = await push(run, "-q", "--all-platforms");
    expect(code).toBe(0);
    expect(stdout.split("\n").filter(Boolean)).toHaveLength(2);
  });

  test("does not push v2 indexes", async () => {
    const run = await pushable(image);
    const converted = `${run.name}-soci`;
    await run.soci(["convert", "--min-layer-size", "0", run.name, converted]);
    expect(await run.soci(["push", "--plain-http", "-q", converted])).toMatchObject({
      code: 1,
      stdout:
        "[WARN] Skippping SOCI index manifest v2. You should push the whole image with higher level tools like finch or nerdctl.\n",
      stderr: `soci: could not find any soci index manifest v1 to push for platform ${HOST.os}/${HOST.architecture}\n`,
    });
  });

  test("takes any number of uploads, and warns of one that Go cannot hold", async () => {
    const run = await pushable(image);
    const index = await created(run, [run.name]);
    const flags = ["--existing-index", "allow", "--max-concurrent-uploads"];
    const none = await push(run, ...flags, "0");
    const most = await push(run, ...flags, "18446744073709551615");
    expect([none.code, most.code]).toEqual([0, 0]);
    expect(most.stdout).toStartWith(
      `warning: overflow for setting --max-concurrent-uploads=18446744073709551615; defaulting to 3pushing soci index with digest: ${index}\n`,
    );
  });

  test("prints its requests with --debug, without what may be secret", async () => {
    const run = await pushable(image);
    await created(run, [run.name]);
    const user = "bob:secret-word";
    const { code, stdout, stderr } = await run.soci(["--debug", "push", "--user", user, run.name]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^http req GET http:\/\/\S+\/referrers\/sha256:/m);
    expect(stdout).toMatch(/^http res 200 OK$/m);
    expect(stdout).toMatch(/^http req PUT http:\/\/\S+\/manifests\/sha256:/m);
    expect(`${stdout}${stderr}`).not.toContain("secret-word");
  });

  test("keeps other platforms of an image of which one was pulled, and says when they are needed", async () => {
    const run = stage.newRun();
    const name = `${stage.registry.host}/partial:v1`;
    await putContainerdImage(run.space, {
      name,
      image: both,
      without: [other.descriptor.digest],
    });
    const convert = (...flags: readonly string[]) =>
      run.soci(["convert", "--min-layer-size", "0", ...flags, name, `${name}-soci`]);
    expect(await convert()).toMatchObject({ code: 0, stderr: "" });
    const { target } = (await run.space.images.get(`${name}-soci`)) ?? {};
    const { digest = "", size = 0 } = target ?? {};
    const chunks = await Array.fromAsync(run.space.content.read({ digest, size }));
    expect(Buffer.concat(chunks).toString()).toContain(other.descriptor.digest);
    const absent = {
      code: 1,
      stderr: `soci: content digest ${other.descriptor.digest}: not found\n`,
    };
    expect(await convert("--all-platforms")).toMatchObject(absent);
    expect(await convert("--platform", "linux/s390x")).toMatchObject(absent);
    const create = ["create", "--min-layer-size", "0", "--platform", "linux/s390x", name];
    expect(await run.soci(create)).toMatchObject(absent);
  });

  test("sociable keeps indexes in containerd's store, lists, pushes and removes them there", async () => {
    const run = await pushable(image);
    const root = stage.directory.join(`sociable-${images}`);
    const flags = ["--root", root, "-a", stage.containerd.address, "-n", run.space.name];
    const sociable = (...argv: readonly string[]) =>
      runInProcess([...argv, ...flags], { cwd: stage.directory.path });
    const store = ["--content-store", "containerd"];
    const ref = `containerd:${run.name}`;
    const create = await sociable("create", ...store, "--min-layer-size", "0", "--json", ref);
    expect(create.code).toBe(0);
    const [{ digest }] = JSON.parse(create.stdout);
    await collectGarbage(run.space);
    expect(await run.space.content.info(digest)).toBeDefined();
    expect((await sociable("index", "list", "-q", ...store)).stdout).toBe(`${digest}\n`);
    expect((await sociable("index", "list", "-q", ...store, "--ref", ref)).stdout).toBe(
      `${digest}\n`,
    );
    expect((await sociable("index", "list", "-q")).stdout).toBe("");
    expect((await sociable("index", "info", ...store, digest)).code).toBe(0);
    expect((await sociable("ztoc", "list", "-q", ...store)).stdout.split("\n")).toHaveLength(3);
    expect((await sociable("index", "rm", ...store, digest)).code).toBe(0);
    expect(await run.space.content.info(digest)).toBeUndefined();
  });

  test("sociable converts from and to containerd", async () => {
    const run = await pushable(image);
    const root = stage.directory.join(`sociable-${images}`);
    const flags = ["--root", root, "-a", stage.containerd.address, "-n", run.space.name];
    const convert = async (from: string, to: string) => {
      const argv = ["convert", "--min-layer-size", "0", "--json", ...flags, from, to];
      const { code, stdout, stderr } = await runInProcess(argv, { cwd: stage.directory.path });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return JSON.parse(stdout).digest as string;
    };
    const inside = await convert(`containerd:${run.name}`, `containerd:${run.name}-a`);
    const pulled = await convert(run.name, `containerd:${run.name}-b`);
    const pushed = await convert(`containerd:${run.name}`, `${run.name}-c`);
    const layout = await convert(`containerd:${run.name}`, `oci:${stage.directory.join("layout")}`);
    expect([pulled, pushed, layout]).toEqual([inside, inside, inside]);
    expect((await run.space.images.get(`${run.name}-b`))?.target?.digest).toBe(inside);
  });

  test("an index of an image that containerd has not is refused: nothing would keep it", async () => {
    const run = await pushable(image);
    const root = stage.directory.join(`sociable-${images}`);
    await run.space.images.delete(run.name, { sync: true });
    const argv = ["create", "--content-store", "containerd", "--min-layer-size", "0", run.name];
    const { code, stderr } = await runInProcess(
      [...argv, "--root", root, "-a", stage.containerd.address, "-n", run.space.name],
      { cwd: stage.directory.path },
    );
    expect(code).toBe(1);
    expect(stderr).toContain("Pull the image first");
  });
});
