import { describe, expect, test } from "bun:test";
import { exists, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { convertCommand } from "../../../src/cli/commands/convert.ts";
import {
  buildImage,
  buildIndex,
  buildOciArchive,
  writeLayout,
} from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { type CliImage, cliImage } from "./cli-image.ts";
import { withCommands } from "./with-commands.ts";

const image = await buildImage({
  layers: [
    { entries: [{ name: "a", content: sampleBytes(300_000, 1) }] },
    { entries: [{ name: "./b", content: sampleBytes(300_000, 2) }] },
  ],
});
const registry = withCommands([convertCommand]);
const ALL = ["--min-layer-size", "0"];

function convert(cli: CliImage, ...argv: readonly string[]) {
  return cli.run(["convert", ...ALL, ...argv], { registry });
}

describe("sociable convert", () => {
  test("prints a line for each layer, the index and the image", async () => {
    await using cli = await cliImage(image);
    const { code, stdout } = await convert(cli, cli.name, `${cli.registry.host}/app:v2`);
    expect(code).toBe(0);
    expect(stdout.match(/^layer sha256:[0-9a-f]{64} -> ztoc sha256:[0-9a-f]{64}$/gm)).toHaveLength(
      2,
    );
    expect(stdout).toMatch(/^index sha256:[0-9a-f]{64} for linux\/amd64$/m);
    expect(stdout).toMatch(/^image sha256:[0-9a-f]{64} at .*\/app:v2$/m);
  });

  test("lists the index under the new name, and takes its zTOCs again", async () => {
    await using cli = await cliImage(image);
    const target = `${cli.registry.host}/app:v2`;
    const [first, second] = [
      JSON.parse((await convert(cli, "--json", cli.name, target)).stdout),
      JSON.parse((await convert(cli, "--json", cli.name, target)).stdout),
    ];
    expect(second.digest).toBe(first.digest);
    expect(second.platforms[0].layers).toMatchObject([{ status: "reused" }, { status: "reused" }]);
    const listed = JSON.parse((await cli.run(["index", "list", "--json"])).stdout);
    expect(listed).toMatchObject([
      { digest: first.platforms[0].index, imageRef: target, version: "v2" },
    ]);
  });

  test("makes an image of which files are read through its index", async () => {
    await using cli = await cliImage(image);
    const target = `${cli.registry.host}/app:v2`;
    await convert(cli, cli.name, target);
    const { bytes } = await cli.run(["cat", target, "/b"], { root: "elsewhere" });
    expect(Buffer.from(bytes).equals(Buffer.from(sampleBytes(300_000, 2)))).toBe(true);
  });

  test("converts a layout without the state directory, with --standalone", async () => {
    await using cli = await cliImage(image);
    await writeLayout(cli.temp.join("in"), { image });
    await writeFile(cli.temp.join("in.tar"), await buildOciArchive(image));
    const argv = ["--standalone", "--format", "oci-dir"];
    expect(await convert(cli, ...argv, "in", "one")).toMatchObject({ code: 0 });
    expect(await convert(cli, ...argv, "in.tar", "two")).toMatchObject({ code: 0 });
    expect(await convert(cli, "--standalone", "in", "out.tar")).toMatchObject({ code: 0 });
    const index = await readFile(cli.temp.join("one/index.json"), "utf8");
    expect(await readFile(cli.temp.join("two/index.json"), "utf8")).toBe(index);
    expect(JSON.parse(index).manifests).toHaveLength(1);
    expect(await exists(cli.temp.join("root"))).toBe(false);
    expect((await readdir(cli.temp.path)).toSorted()).toEqual([
      "in",
      "in.tar",
      "one",
      "out.tar",
      "two",
    ]);
  });

  test("converts a layout that lists its platforms one by one, with --standalone", async () => {
    const other = await buildImage({
      layers: [{ entries: [{ name: "x", content: sampleBytes(50_000, 7) }] }],
      platform: { os: "linux", architecture: "arm64" },
    });
    await using cli = await cliImage(image);
    await writeLayout(cli.temp.join("flat"), { image });
    await writeLayout(cli.temp.join("flat"), { image: other });
    const argv = ["--standalone", "--format", "oci-dir", "--all-platforms", "--json"];
    const { code, stdout } = await convert(cli, ...argv, "flat", "out");
    expect(code).toBe(0);
    expect(JSON.parse(stdout).platforms).toHaveLength(2);
  });

  test("stores prefetch artifacts, and warns of files that are nowhere", async () => {
    await using cli = await cliImage(image);
    const argv = ["--prefetch-file", "/b,nowhere", cli.name, `${cli.registry.host}/app:v2`];
    const { code, stdout, stderr } = await convert(cli, ...argv);
    expect(code).toBe(0);
    const layer = image.layers[1]?.descriptor.digest;
    expect(stdout).toContain(`Created prefetch artifact for layer ${layer}: sha256:`);
    expect(stderr).toContain("nowhere");
  });

  test("keeps a variant as it was spelled", async () => {
    const arm = await buildImage({
      layers: [{ entries: [{ name: "x", content: sampleBytes(50_000, 7) }] }],
      platform: { os: "linux", architecture: "arm64" },
    });
    const platform = { os: "linux", architecture: "arm64", variant: "v8" };
    await using cli = await cliImage(buildIndex([{ image: arm, platform }]));
    const digests = [];
    for (const flag of ["linux/arm64/v8", "linux/arm64", "linux/arm64/v8,linux/arm64"]) {
      const argv = ["--json", "-p", flag, cli.name, `${cli.registry.host}/app:v2`];
      digests.push(JSON.parse((await convert(cli, ...argv)).stdout).digest);
    }
    expect(digests[1]).not.toBe(digests[0]);
    expect(digests[2]).toBe(digests[0]);
  });

  test.each([
    { title: "a destination without a tag", argv: ["DEST/app"], code: 2 },
    { title: "a destination with a digest", argv: [`DEST/app@sha256:${"0".repeat(64)}`], code: 2 },
    { title: "Docker's archive", argv: ["docker-archive:out.tar"], code: 1 },
    { title: "a platform that is not there", argv: ["-p", "linux/s390x", "oci:out"], code: 1 },
    { title: "a span size that is no size", argv: ["--span-size", "big", "oci:out"], code: 2 },
    { title: "an unknown optimization", argv: ["--optimizations", "x", "oci:out"], code: 2 },
    { title: "an unknown format", argv: ["--format", "zip", "oci:out"], code: 2 },
    {
      title: "a list of files that is not there",
      argv: ["--prefetch-files-json", "no.json", "oci:out"],
      code: 2,
    },
    { title: "a layout where nothing can be made", argv: ["oci:/proc/sociable"], code: 1 },
    { title: "an archive where nothing can be made", argv: ["oci-archive:/proc/out.tar"], code: 1 },
    { title: "an archive below no directory", argv: ["oci-archive:no/dir/x.tar"], code: 1 },
  ])("exits $code for $title and writes nothing to standard output", async ({ argv, code }) => {
    await using cli = await cliImage(image);
    const words = argv.map((word) => word.replace("DEST", cli.registry.host));
    const [last = "", ...flags] = words.toReversed();
    const result = await convert(cli, ...flags.toReversed(), cli.name, last);
    expect(result).toMatchObject({ code, stdout: "" });
  });

  test.each([
    { title: "an empty directory", make: (path: string) => mkdir(path) },
    { title: "what is no tar", make: (path: string) => writeFile(path, "x".repeat(2000)) },
    {
      title: "a layout whose index.json is cut off",
      make: async (path: string) => {
        await writeLayout(path, { image });
        await writeFile(`${path}/index.json`, '{"schemaVersion":2,"manif');
      },
    },
    {
      title: "a layout that lists nothing",
      make: async (path: string) => {
        await writeLayout(path, { image });
        await writeFile(`${path}/index.json`, '{"schemaVersion":2,"manifests":[]}');
      },
    },
  ])("exits 1 for $title, and makes no image", async ({ make }) => {
    await using cli = await cliImage(image);
    await make(cli.temp.join("in"));
    const result = await convert(cli, "--standalone", "in", "out.tar");
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(await exists(cli.temp.join("out.tar"))).toBe(false);
  });

  test("exits 1 for a destination that is a file, and leaves the file", async () => {
    await using cli = await cliImage(image);
    await writeFile(cli.temp.join("out"), "mine");
    expect(await convert(cli, cli.name, "oci:out")).toMatchObject({ code: 1 });
    expect(await readFile(cli.temp.join("out"), "utf8")).toBe("mine");
  });

  test("leaves a store that opens, and no image, when it is interrupted", async () => {
    await using cli = await cliImage(image);
    const interrupt = new AbortController();
    cli.registry.manners.answerDelayMs = 20;
    const work = cli.run(["convert", ...ALL, cli.name, "oci:out"], {
      registry,
      signal: interrupt.signal,
    });
    while (!cli.registry.requests.some(({ path }) => path.includes("/blobs/"))) await Bun.sleep(1);
    interrupt.abort(new Error("enough"));
    expect((await work).code).not.toBe(0);
    const index = JSON.parse(await readFile(cli.temp.join("out/index.json"), "utf8"));
    expect(index.manifests).toEqual([]);
    expect(await cli.run(["index", "list", "-q"])).toMatchObject({ code: 0, stdout: "" });
    expect(await convert(cli, cli.name, "oci:out")).toMatchObject({ code: 0 });
  });
});
