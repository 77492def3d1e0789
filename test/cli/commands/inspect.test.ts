import { describe, expect, test } from "bun:test";
import { inspectCommand } from "../../../src/cli/commands/inspect.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import {
  type BuiltImage,
  buildIndex,
  buildImage,
  buildLayer,
  imageOf,
} from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { type CliImage, cliImage } from "./cli-image.ts";
import { withCommands } from "./with-commands.ts";

const registry = withCommands([inspectCommand]);

const CONFIG = {
  Entrypoint: ["/bin/tool", "--flag"],
  Cmd: ["hello world"],
  Env: ["PATH=/usr/bin", "TOKEN=s3cret=x", "BARE"],
  User: "1000:1000",
  WorkingDir: "/srv\u001b[2J",
  ExposedPorts: { "8080/tcp": {}, "53/udp": {} },
  Volumes: { "/data": {} },
  StopSignal: "SIGINT",
  Labels: { title: "a\u001b[31mb" },
};

/** The same image with another config. */
function withConfig(image: BuiltImage, config: unknown): BuiltImage {
  const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const document = JSON.parse(new TextDecoder().decode(image.config.bytes));
  const bytes = encode({ ...document, created: "2026-10-01T12:00:00Z", config });
  const descriptor = { ...image.config.descriptor, digest: digestOf(bytes), size: bytes.length };
  const manifest = encode({
    ...JSON.parse(new TextDecoder().decode(image.manifest)),
    config: descriptor,
  });
  return {
    ...image,
    config: { descriptor, bytes },
    manifest,
    descriptor: { ...image.descriptor, digest: digestOf(manifest), size: manifest.length },
  };
}

const large = await buildLayer({
  entries: [
    { name: "a", content: sampleBytes(300_000) },
    { name: "b", content: "b" },
  ],
});
const small = await buildLayer({ entries: [{ name: "small", content: "x" }] });
const AMD64 = { os: "linux", architecture: "amd64" };
const ARM64 = { os: "linux", architecture: "arm64" };
const image = withConfig(imageOf([large, small], { platform: AMD64 }), CONFIG);
const arm = imageOf([small], { platform: ARM64 });
const both = buildIndex([
  { image, platform: AMD64 },
  { image: arm, platform: ARM64 },
]);

function inspect(cli: CliImage, ...flags: readonly string[]) {
  return cli.run(["inspect", "--platform", "linux/amd64", ...flags, cli.name], { registry });
}

/** With an index of the large layer, on this host and in the registry. */
async function indexed(pushed: boolean): Promise<CliImage> {
  await using stack = new AsyncDisposableStack();
  const cli = stack.use(await cliImage(both));
  const platform = ["--platform", "linux/amd64"];
  const create = ["create", "--min-layer-size", "10000", ...platform, cli.name];
  expect((await cli.run(create)).code).toBe(0);
  if (pushed) expect((await cli.run(["push", ...platform, cli.name])).code).toBe(0);
  stack.move();
  return cli;
}

describe("sociable inspect", () => {
  test("shows image, config and layers on one screen", async () => {
    await using cli = await indexed(true);
    const { code, stdout } = await inspect(cli);
    expect(code).toBe(0);
    expect(stdout).toContain(`digest       ${both.descriptor.digest}\n`);
    expect(stdout).toContain(`manifest     ${image.descriptor.digest} linux/amd64\n`);
    expect(stdout).toContain("platforms    linux/amd64, linux/arm64\n");
    expect(stdout).toContain('entrypoint   /bin/tool --flag\ncommand      "hello world"\n');
    expect(stdout).toContain("env          PATH TOKEN BARE\n");
    expect(stdout).toContain("ports        53/udp, 8080/tcp\nvolumes      /data\n");
    expect(stdout).toMatch(/^LAYER +SIZE +UNPACKED +ENCODING +SPANS +FILES +ZTOC$/m);
    expect(stdout).toMatch(
      /^sha256:[0-9a-f]{12} +\d+\.\d KiB +\d+\.\d KiB +gzip +1 +2 +\d+\.\d KiB$/m,
    );
    expect(stdout).toMatch(/^sha256:[0-9a-f]{12} +\d+ B +- +gzip +- +- +- +not indexed: /m);
  });

  test("shows no value of an environment variable, and nothing that drives a terminal", async () => {
    await using cli = await indexed(true);
    for (const flags of [[], ["--json"]]) {
      const { stdout } = await inspect(cli, ...flags);
      expect(stdout).not.toContain("s3cret");
      expect(stdout).not.toContain("\u001b");
    }
  });

  test("counts what a host fetches that has no zTOC of its own", async () => {
    await using cli = await indexed(true);
    const elsewhere = await cli.run(["inspect", "--json", "--platform", "linux/amd64", cli.name], {
      registry,
      root: "another",
    });
    const all = ["create", "--min-layer-size", "0", "--platform", "linux/amd64", cli.name];
    expect((await cli.run(all)).code).toBe(0);
    const { stdout } = await inspect(cli, "--json");
    expect(JSON.parse(stdout)).toEqual(JSON.parse(elsewhere.stdout));
  });

  test("counts what a cold start fetches, in rounds", async () => {
    await using cli = await indexed(true);
    const { stdout } = await cli.run(["inspect", "--json", "--platform", "linux/amd64", cli.name], {
      registry,
      root: "another",
    });
    const { coldStart, index, layers } = JSON.parse(stdout);
    const ztoc = layers[0].ztoc;
    expect(coldStart).toEqual({
      rounds: [
        [{ what: "image index", requests: 1, bytes: both.descriptor.size }],
        [{ what: "manifest", requests: 1, bytes: image.descriptor.size }],
        [
          { what: "referrers", requests: 1, bytes: null },
          { what: "config", requests: 1, bytes: image.config.descriptor.size },
        ],
        [{ what: "SOCI index", requests: 1, bytes: index.size }],
        [{ what: "zTOCs", requests: 1, bytes: ztoc.size }],
      ],
      requests: 6,
      bytes:
        both.descriptor.size +
        image.descriptor.size +
        image.config.descriptor.size +
        index.size +
        ztoc.size,
      wholeLayers: 1,
      wholeBytes: small.descriptor.size,
      imageBytes: large.descriptor.size + small.descriptor.size,
    });
    expect(index).toMatchObject({ version: "v1", from: "referrers" });
    expect(layers).toMatchObject([
      { digest: large.descriptor.digest, encoding: "gzip", ztoc: { spans: 1, files: 2 } },
      { digest: small.descriptor.digest, ztoc: null, reason: expect.any(String) },
    ]);
  });

  test("says that an index on this host alone does not help others", async () => {
    await using cli = await indexed(false);
    const { stdout } = await inspect(cli);
    expect(stdout).toMatch(
      / in 3 rounds\n +1\. image index \d+ B\n +2\. manifest \d+ B\n +3\. referrers \+ config \d+ B\n/,
    );
    expect(stdout).toContain("Index and zTOCs are on this host alone");
  });

  test("says of an image without an index what has to come whole", async () => {
    await using cli = await cliImage(image);
    const { code, stdout } = await inspect(cli);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^index +none \(/m);
    expect(stdout).toContain("  and whole, 2 layers without a zTOC: ");
    expect(stdout).not.toContain("then the spans");
    expect(stdout).not.toMatch(/^platforms/m);
    expect(stdout).not.toMatch(/^digest/m);
  });

  test("fetches nothing of the layers", async () => {
    await using cli = await indexed(true);
    cli.registry.clearRequests();
    expect((await inspect(cli)).code).toBe(0);
    const layers = image.layers.map(({ descriptor }) => descriptor.digest as string);
    const asked = cli.registry.requests.map(({ path }) => path.split("/").at(-1) ?? "");
    expect(asked.filter((name) => layers.includes(name))).toEqual([]);
  });

  test("cuts lines at the width of a terminal", async () => {
    await using cli = await indexed(true);
    const { stdout } = await cli.run(["inspect", "--platform", "linux/amd64", cli.name], {
      registry,
      stdoutIsTty: true,
      columns: 60,
      env: { NO_COLOR: "1" },
    });
    const widths = stdout.split("\n").map((line) => Bun.stringWidth(line));
    expect(Math.max(...widths)).toBe(60);
  });

  test("refuses a config that is none", async () => {
    const base = await buildImage({ layers: [{ entries: [] }], platform: AMD64 });
    await using cli = await cliImage(withConfig(base, { Entrypoint: "not a list" }));
    const { code, stdout, stderr } = await inspect(cli);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("config.Entrypoint");
  });
});
