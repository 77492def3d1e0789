import { describe, expect, test } from "bun:test";
import { exists, readFile, writeFile } from "node:fs/promises";
import {
  type BuiltLayer,
  buildImage,
  buildIndex,
  imageOf,
  layerOf,
  writeLayout,
} from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { cliImage } from "./cli-image.ts";

const image = await buildImage({
  layers: [
    { entries: [{ name: "a", content: sampleBytes(300_000, 1) }] },
    { entries: [{ name: "b", content: sampleBytes(300_000, 2) }], compression: "zstd" },
    { entries: [{ name: "c", content: sampleBytes(300_000, 3) }], compression: "none" },
    { entries: [{ name: "d", content: "small" }] },
  ],
});
const ALL = ["--min-layer-size", "0"];

describe("sociable create", () => {
  test("prints a line for each layer and the index", async () => {
    await using cli = await cliImage(image);
    const { code, stdout } = await cli.run(["create", "--min-layer-size", "1000", cli.name]);
    const [gzip, zstd, tar, small] = image.layers.map(({ descriptor }) => descriptor.digest);
    expect(code).toBe(0);
    const lines = [
      `layer ${gzip} -> ztoc sha256:[0-9a-f]{64}`,
      `ztoc skipped - layer ${zstd} .*unsupported format.*"zstd"`,
      `layer ${tar} -> ztoc sha256:[0-9a-f]{64}`,
      `ztoc skipped - layer ${small} .*less than min-layer-size 1000`,
      "index sha256:[0-9a-f]{64} for linux/amd64",
    ];
    for (const line of lines) expect(stdout).toMatch(new RegExp(`^${line}$`, "m"));
    expect(stdout.trimEnd().split("\n")).toHaveLength(lines.length);
  });

  test("prints a JSON array with --json", async () => {
    await using cli = await cliImage(image);
    const { stdout } = await cli.run(["create", "--json", ...ALL, cli.name]);
    expect(JSON.parse(stdout)).toMatchObject([
      {
        platform: "linux/amd64",
        manifest: image.descriptor.digest,
        layers: [
          { status: "built", size: image.layers[0]?.bytes.length },
          { status: "skipped", reason: "unsupported-compression" },
          { status: "built" },
          { status: "built" },
        ],
      },
    ]);
  });

  test("gives the same index again, from the zTOCs that are here, or built anew with --force", async () => {
    await using cli = await cliImage(image);
    const runs = [];
    for (const flags of [[], [], ["--force"]]) {
      runs.push(
        JSON.parse((await cli.run(["create", "--json", ...ALL, ...flags, cli.name])).stdout),
      );
    }
    expect(new Set(runs.map(([{ digest }]) => digest)).size).toBe(1);
    expect(runs.map(([{ layers }]) => layers[0].status)).toEqual(["built", "reused", "built"]);
  });

  test("makes the span size decide how many spans there are", async () => {
    await using cli = await cliImage(image);
    const run = async (size: string) => {
      const argv = ["create", "--json", ...ALL, "--span-size", size, cli.name];
      const [{ layers }] = JSON.parse((await cli.run(argv)).stdout);
      return layers[0].ztocSize as number;
    };
    expect(await run("64KiB")).toBeGreaterThan(await run("4MiB"));
  });

  test("reads each layer once, and none to reuse its zTOC", async () => {
    await using cli = await cliImage(image);
    const blobGets = () => cli.registry.requests.filter(({ path }) => path.includes("/blobs/"));
    await cli.run(["create", ...ALL, cli.name]);
    // Three layers that can be indexed, and the config, which names the platform.
    expect(blobGets()).toHaveLength(4);
    cli.registry.clearRequests();
    await cli.run(["create", ...ALL, cli.name]);
    expect(blobGets()).toHaveLength(1);
  });

  test("writes into an OCI layout with --output, and nothing into the root", async () => {
    await using cli = await cliImage(image);
    const { code } = await cli.run(["create", ...ALL, "--output", "oci:out", cli.name]);
    expect(code).toBe(0);
    expect(await exists(cli.temp.join("root"))).toBe(false);
    const index = JSON.parse(await readFile(cli.temp.join("out/index.json"), "utf8"));
    expect(index.manifests).toHaveLength(1);
  });

  test("indexes an image in an OCI layout to the same digest as from a registry", async () => {
    await using cli = await cliImage(image);
    await writeLayout(cli.temp.join("layout"), { image, tag: "v1" });
    const digests = [];
    for (const name of [cli.name, `oci:${cli.temp.join("layout")}:v1`]) {
      const { stdout } = await cli.run(["create", "--json", ...ALL, name]);
      digests.push(JSON.parse(stdout)[0].digest);
    }
    expect(digests[0]).toBe(digests[1]);
  });

  test.each([
    { title: "the platforms that are named", flags: ["-p", "linux/arm64,linux/amd64"], want: 2 },
    { title: "each --platform", flags: ["-p", "linux/arm64", "-p", "linux/amd64"], want: 2 },
    { title: "every platform with --all-platforms", flags: ["--all-platforms"], want: 2 },
    { title: "this machine's platform alone", flags: [], want: 1 },
  ])("indexes $title", async ({ flags, want }) => {
    const other = await buildImage({
      layers: [{ entries: [{ name: "x", content: "1" }] }],
      platform: { os: "linux", architecture: "arm64" },
    });
    const index = buildIndex([
      { image, platform: { os: "linux", architecture: "amd64" } },
      { image: other, platform: { os: "linux", architecture: "arm64" } },
    ]);
    await using cli = await cliImage(index);
    const { code, stdout } = await cli.run(["create", "--json", ...ALL, ...flags, cli.name]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toHaveLength(want);
  });

  test.each([
    {
      title: "both --platform and --all-platforms",
      flags: ["-p", "linux/amd64", "--all-platforms"],
    },
    { title: "an output that is no layout", flags: ["--output", "dir"] },
    { title: "both --push and --output", flags: ["--push", "--output", "oci:out"] },
    { title: "an unknown optimization", flags: ["--optimizations", "speed"] },
    { title: "a span size that is no size", flags: ["--span-size", "big"] },
  ])("exits 2 for $title", async ({ flags }) => {
    await using cli = await cliImage(image);
    expect(await cli.run(["create", ...flags, cli.name])).toMatchObject({ code: 2, stdout: "" });
  });

  test("exits 1 and stores no index when no layer can be indexed", async () => {
    await using cli = await cliImage(image);
    const { code, stderr } = await cli.run(["create", cli.name]);
    expect(code).toBe(1);
    expect(stderr).toContain("no ztocs created");
    expect(await cli.run(["push", cli.name])).toMatchObject({ code: 1 });
  });

  test("names a damaged layer, indexes the others and exits 0", async () => {
    const damaged = await buildImage({
      layers: [
        { entries: [{ name: "a", content: sampleBytes(300_000, 1) }] },
        { entries: [{ name: "h", type: "file", content: "x" }] },
      ],
    });
    const [good, bad] = damaged.layers as readonly [BuiltLayer, BuiltLayer]; // as just built
    // A tar whose checksum is wrong, in a gzip that is right.
    const tar = Uint8Array.from(bad.tar);
    tar[0] = (tar[0] ?? 0) ^ 1;
    await using cli = await cliImage(imageOf([good, layerOf(tar)]));
    const { code, stdout } = await cli.run(["create", "--json", ...ALL, cli.name]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)[0].layers).toMatchObject([
      { status: "built" },
      { status: "skipped", reason: "refused" },
    ]);
  });

  test("pushes the index at once with --push", async () => {
    await using cli = await cliImage(image);
    const { code, stdout } = await cli.run(["create", "--push", ...ALL, cli.name]);
    expect(code).toBe(0);
    const digest = /^index (sha256:[0-9a-f]{64})/m.exec(stdout)?.[1] ?? "";
    expect(cli.registry.manifest("app", digest)).toBeDefined();
    expect(stdout).toContain(`successfully pushed artifact with digest: ${digest}`);
  });

  test("builds nothing with --push where there is an index and that is to do", async () => {
    await using cli = await cliImage(image);
    await cli.run(["create", "--push", ...ALL, cli.name]);
    cli.registry.clearRequests();
    const argv = ["create", "--push", "--existing-index", "skip", "--force", ...ALL, cli.name];
    const { code, stdout } = await cli.run(argv);
    expect(code).toBe(0);
    expect(stdout).toContain("skipping pushing artifacts");
    // The config alone, which names the platform.
    expect(cli.registry.requests.filter(({ path }) => path.includes("/blobs/"))).toHaveLength(1);
  });

  test("stores prefetch artifacts of files that are named or listed", async () => {
    await using cli = await cliImage(image);
    await writeFile(cli.temp.join("list.json"), JSON.stringify([" /c ", ""]));
    const flags = ["--prefetch-file", "a,nowhere", "--prefetch-files-json", "list.json"];
    const { code, stdout, stderr } = await cli.run(["create", ...ALL, ...flags, cli.name]);
    expect(code).toBe(0);
    for (const layer of [image.layers[0], image.layers[2]]) {
      expect(stdout).toContain(`Created prefetch artifact for layer ${layer?.descriptor.digest}: `);
    }
    expect(stdout.match(/^Created prefetch artifact/gm)).toHaveLength(2);
    expect(stderr).toContain("nowhere");
  });

  test.each([
    { title: "no list", text: undefined },
    { title: "an object", text: '{"a":1}' },
    { title: "a list that is cut off", text: "[1" },
    { title: "numbers", text: "[1]" },
  ])("exits 2 for $title as --prefetch-files-json", async ({ text }) => {
    await using cli = await cliImage(image);
    if (text !== undefined) await writeFile(cli.temp.join("list.json"), text);
    const argv = ["create", "--prefetch-files-json", "list.json", cli.name];
    expect(await cli.run(argv)).toMatchObject({ code: 2, stdout: "" });
  });

  test("exits 1 for an image that is not there", async () => {
    await using cli = await cliImage(image);
    expect(await cli.run(["create", `${cli.registry.host}/none:v1`])).toMatchObject({
      code: 1,
      stdout: "",
    });
  });

  test("exits 1 when a layer's bytes are not those of its digest, and stores no index", async () => {
    await using cli = await cliImage(image);
    const digest = image.layers[0]?.descriptor.digest ?? "";
    cli.registry.corruptNext(100, { at: 5000, path: new RegExp(digest) });
    expect(await cli.run(["create", ...ALL, cli.name])).toMatchObject({ code: 1 });
    expect(await cli.run(["push", cli.name])).toMatchObject({ code: 1 });
  });
});
