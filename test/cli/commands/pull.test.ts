import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { pullCommand } from "../../../src/cli/commands/pull.ts";
import type { CommandGroup } from "../../../src/cli/registry-entry.ts";
import { CONTAINERD_PROGRAMS, ContainerdProcess } from "../../support/containerd-process.ts";
import { describeMounts } from "../../support/describe-mounts.ts";
import { addImage, buildImage } from "../../support/image-builder.ts";
import { TestRegistry } from "../../support/registry.ts";
import { type TempDir, tempDir } from "../../support/temp-dir.ts";
import { runInProcess, type RunOptions } from "../fake-io.ts";

const registry: CommandGroup = {
  summary: "pull alone",
  commands: { pull: { summary: pullCommand.summary, load: async () => pullCommand } },
};
const run = (argv: readonly string[], options: RunOptions = {}) =>
  runInProcess(["pull", ...argv], { registry, ...options });

const image = await buildImage({
  layers: [
    { entries: [{ name: "a", content: "below" }] },
    { entries: [{ name: "b", content: "above" }] },
  ],
});

describe("sociable pull without containerd", () => {
  test("says where it looked, and what to do", async () => {
    await using directory = await tempDir();
    const socket = directory.join("none.sock");
    const { code, stderr } = await run(["--address", socket, "127.0.0.1:1/app:v1"]);
    expect(code).toBe(1);
    expect(stderr).toContain(`Cannot reach containerd at "${socket}"`);
    expect(stderr).toContain("--address");
  });

  test.each([
    { title: "an image that is no registry's", argv: ["oci:./layout"] },
    { title: "an address that is no socket", argv: ["--address", "tcp://x:1", "app"] },
    { title: "an index that is no digest", argv: ["--soci-index-digest", "v1", "app"] },
    { title: "a platform that is none", argv: ["--platform", "a/b/c/d", "app"] },
  ])("refuses $title", async ({ argv }) => {
    expect(await run(argv)).toMatchObject({ code: 2, stdout: "" });
  });
});

describeMounts(CONTAINERD_PROGRAMS, "sociable pull", () => {
  let directory: TempDir;
  let containerd: ContainerdProcess;
  let images: TestRegistry;
  let name: string;

  beforeAll(async () => {
    directory = await tempDir();
    images = TestRegistry.start();
    await addImage(images, "app", { image, tag: "v1" });
    name = `${images.host}/app:v1`;
    containerd = await ContainerdProcess.start({ directory: directory.join("containerd") });
  });

  afterAll(async () => {
    await containerd[Symbol.asyncDispose]();
    await images[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const pull = (argv: readonly string[], namespace: string) =>
    run(["--snapshotter", "native", ...argv, name], {
      env: { CONTAINERD_ADDRESS: containerd.address, CONTAINERD_NAMESPACE: namespace },
    });

  test("prints a line for each layer, and the image", async () => {
    const { code, stdout } = await pull([], "lines");
    expect(code).toBe(0);
    expect(stdout.split("\n")).toEqual([
      ...image.layers.map(({ descriptor }) => `layer ${descriptor.digest} downloaded and unpacked`),
      `image ${name} ${image.descriptor.digest}`,
      "",
    ]);
    const listed = await containerd.ctrOutput(["images", "list", "-q"], { namespace: "lines" });
    expect(listed.trim()).toBe(name);
    expect((await pull([], "lines")).stdout).toMatch(/^layer \S+ was here\nlayer \S+ was here\n/);
  });

  test("prints the name alone with --quiet", async () => {
    expect((await pull(["--quiet"], "quiet")).stdout).toBe(`${name}\n`);
  });

  test("prints what it made as JSON with --json", async () => {
    const { stdout } = await pull(["--json", "--namespace", "mine"], "json");
    expect(JSON.parse(stdout)).toMatchObject({
      name,
      digest: image.descriptor.digest,
      manifest: image.descriptor.digest,
      platform: "linux/amd64",
      namespace: "mine",
      snapshotter: "native",
      layers: image.layers.map(({ descriptor }) => ({
        digest: descriptor.digest,
        size: descriptor.size,
        status: "unpacked",
      })),
    });
  });

  test("says how to configure a snapshotter that containerd does not know", async () => {
    const { code, stderr } = await run(["--address", containerd.address, name]);
    expect(code).toBe(1);
    expect(stderr).toContain("[proxy_plugins.sociable]");
  });
});
