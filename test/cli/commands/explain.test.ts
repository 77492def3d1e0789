import { describe, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { explainCommand } from "../../../src/cli/commands/explain.ts";
import { formatExplanation } from "../../../src/cli/commands/explain-report.ts";
import { daemonService, type LayerReport } from "../../../src/daemon/daemon-api.ts";
import { GrpcListener } from "../../../src/daemon/grpc-listener.ts";
import { parseSocketAddress } from "../../../src/daemon/socket-address.ts";
import { NO_LOG } from "../../../src/observability/log.ts";
import { digestOf, hexOf } from "../../../src/oci/digest.ts";
import { OCI_LAYER_GZIP } from "../../../src/oci/media-types.ts";
import { buildImage } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { type CliImage, cliImage } from "./cli-image.ts";
import { withCommands } from "./with-commands.ts";

const commands = withCommands([explainCommand]);

const image = await buildImage({
  layers: [
    { entries: [{ name: "large", content: sampleBytes(300_000) }] },
    { entries: [{ name: "packed", content: sampleBytes(50_000, 2) }], compression: "zstd" },
    { entries: [{ name: "small", content: "x" }] },
  ],
});
const [large, packed, small] = image.layers.map(({ descriptor }) => descriptor);

function explain(cli: CliImage, ...argv: readonly string[]) {
  return cli.run(["explain", ...argv, cli.name], { registry: commands });
}

/** An image of whose layers one is indexed: another is zstd, and one too small. */
async function indexed(): Promise<CliImage> {
  await using stack = new AsyncDisposableStack();
  const cli = stack.use(await cliImage(image));
  expect((await cli.run(["create", "--min-layer-size", "10000", cli.name])).code).toBe(0);
  stack.move();
  return cli;
}

async function daemonAt(
  path: string,
  reportOf: (digest: LayerReport["digest"]) => Partial<LayerReport>,
): Promise<AsyncDisposable> {
  const calls = {
    explain: async (layers: readonly LayerReport["digest"][]) =>
      layers.map((digest) => ({
        digest,
        snapshots: 0,
        localBytes: 0,
        totalBytes: 0,
        mounts: 0,
        refusal: "",
        ...reportOf(digest),
      })),
    announce: () => undefined,
  };
  return await GrpcListener.listen({
    address: parseSocketAddress(path),
    fallbackPath: "/nonexistent/fallback.sock",
    services: [daemonService(calls)],
    env: {},
    log: NO_LOG,
  });
}

describe("sociable explain", () => {
  test("says of each layer whether it starts lazily, and of others why not", async () => {
    await using cli = await indexed();
    const { code, stdout } = await explain(cli, "--no-daemon");
    expect(code).toBe(0);
    const lines = stdout.split("\n");
    expect(lines[0]).toBe(`image     ${cli.name}`);
    expect(lines[2]).toMatch(/^index {5}sha256:[0-9a-f]{64} \(v1, made on this host, /);
    expect(lines[4]).toMatch(/^LAYER +SIZE +ENCODING +LOCAL +MOUNTS +VERDICT$/);
    expect(lines[5]).toMatch(
      /^sha256:[0-9a-f]{12} +\d+\.\d KiB +gzip +- +- +lazy: zTOC of .*, 1 span$/,
    );
    expect(lines[6]).toMatch(/zstd +- +- +whole: there are no zTOCs of zstd$/);
    expect(lines[7]).toMatch(
      /gzip +- +- +whole: the index leaves it out, .* 10\.0 MiB by default$/,
    );
    expect(lines[9]).toMatch(
      /^1 of 3 layers starts lazily; 2 \(\d+\.\d KiB\) must be downloaded whole first$/,
    );
    expect(stdout).not.toContain("daemon");
  });

  test("fetches nothing of the layers", async () => {
    await using cli = await indexed();
    cli.registry.clearRequests();
    expect((await explain(cli, "--no-daemon")).code).toBe(0);
    const layers = image.layers.map(({ descriptor }) => descriptor.digest as string);
    const asked = cli.registry.requests.map(({ path }) => path.split("/").at(-1) ?? "");
    expect(asked.filter((name) => layers.includes(name))).toEqual([]);
  });

  test("names where an index was looked for when there is none", async () => {
    await using cli = await cliImage(image);
    const { code, stdout } = await explain(cli, "--no-daemon");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^index +none \(v2-annotation: .*; referrers: .*; local: .*\)$/m);
    expect(stdout).toContain("whole: the image has no SOCI index");
    expect(stdout).toMatch(/^0 of 3 layers start lazily; 3 \(/m);
  });

  test("takes an index from the registry, by whoever pushed it", async () => {
    await using cli = await indexed();
    expect((await cli.run(["push", cli.name])).code).toBe(0);
    const { stdout } = await cli.run(["explain", "--json", "--no-daemon", cli.name], {
      registry: commands,
      root: "another",
    });
    expect(JSON.parse(stdout)).toMatchObject({ index: { version: "v1", from: "referrers" } });
  });

  test("says that a zTOC is missing which the index names", async () => {
    await using cli = await indexed();
    const before = JSON.parse((await explain(cli, "--json", "--no-daemon")).stdout);
    const { digest } = before.layers[0].ztoc;
    await rm(cli.temp.join("root", "content", "blobs", "sha256", hexOf(digest)));
    const { code, stdout } = await explain(cli, "--json", "--no-daemon");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      layers: [{ verdict: "whole", ztoc: null, reason: expect.stringContaining(digest) }, {}, {}],
      daemon: null,
    });
  });

  test("asks the daemon what it has of the layers", async () => {
    await using cli = await indexed();
    const socket = cli.temp.join("s.sock");
    await using _daemon = await daemonAt(socket, (digest) => {
      if (digest === large?.digest) {
        return { snapshots: 1, localBytes: 999, totalBytes: 1000, mounts: 2 };
      }
      return digest === packed?.digest ? { refusal: "no-ztoc: \u001b[2J" } : {};
    });
    const { stdout } = await explain(cli, "--address", `unix://${socket}`);
    expect(stdout).toContain(`daemon    answers at ${socket}\n`);
    expect(stdout).toMatch(/gzip +99 % +2 +lazy: /);
    expect(stdout).toMatch(
      /zstd +- +0 +refused by the daemon: no-ztoc: \\x1b\[2J \(by the registry whole: /,
    );
    expect(stdout).toMatch(/^1 of 3 layers starts lazily; 1 \(.*\) must .*; 1 \(.*\) the daemon /m);
  });

  test("--json prints one stable object", async () => {
    await using cli = await indexed();
    const socket = cli.temp.join("s.sock");
    await using _daemon = await daemonAt(socket, () => ({
      mounts: 3,
      refusal: "timeout: late",
    }));
    const { stdout } = await explain(cli, "--json", "--address", socket);
    expect(JSON.parse(stdout)).toMatchObject({
      image: cli.name,
      manifest: image.descriptor.digest,
      index: { version: "v1", from: "local" },
      misses: [
        { from: "v2-annotation", failed: false },
        { from: "referrers", failed: false },
      ],
      daemon: { address: socket, running: true },
      layers: [
        {
          digest: large?.digest,
          mediaType: large?.mediaType,
          size: large?.size,
          encoding: "gzip",
          verdict: "refused",
          reason: null,
          ztoc: { spans: 1 },
          local: { snapshots: 0, mounts: 3, refusal: "timeout: late" },
        },
        { encoding: "zstd", verdict: "refused", ztoc: null },
        { digest: small?.digest },
      ],
      summary: expect.stringMatching(/^0 of 3 layers start lazily; 3 /),
    });
  });

  test("tells a layer that was refused with another image by its own index", async () => {
    await using cli = await indexed();
    const socket = cli.temp.join("s.sock");
    const refusal = "no-index: Cannot serve the layer: none found";
    await using _daemon = await daemonAt(socket, (digest) => ({
      snapshots: digest === large?.digest ? 1 : 0,
      refusal,
    }));
    const { stdout } = await explain(cli, "--address", socket);
    expect(stdout).toMatch(/gzip +- +0 +lazy: /);
    expect(stdout).toMatch(/zstd +- +0 +refused by the daemon: no-index: none found \(/);
  });

  test("says in a line that no daemon runs, and goes on", async () => {
    await using cli = await indexed();
    const socket = cli.temp.join("none.sock");
    const { code, stdout } = await explain(cli, "--address", socket);
    expect(code).toBe(0);
    expect(stdout).toContain(`daemon    none: no daemon answers at ${socket}\n`);
    expect(stdout).toContain("lazy: ");
    const { stdout: json } = await explain(cli, "--json", "--address", socket);
    expect(JSON.parse(json).daemon).toMatchObject({ address: socket, running: false });
  });

  test("exits 1 for an index that is not there, and for an image that is not", async () => {
    await using cli = await cliImage(image);
    const absent = digestOf(Buffer.from("absent"));
    expect(await explain(cli, "--index", absent)).toMatchObject({ code: 1, stdout: "" });
    expect(await cli.run(["explain", `${cli.name}-not`], { registry: commands })).toMatchObject({
      code: 1,
      stdout: "",
    });
  });
});

test("formatExplanation() shows no control characters of a registry or a daemon", () => {
  const digest = digestOf(Buffer.from("layer"));
  const evil = "a\u001b[2J\nb\u202ec";
  const text = formatExplanation({
    image: evil,
    manifest: digest,
    platform: evil,
    discovery: { found: undefined, misses: [{ from: "referrers", reason: evil }] },
    layers: [
      {
        descriptor: { digest, size: 1, mediaType: OCI_LAYER_GZIP },
        encoding: "gzip",
        ztoc: undefined,
        reason: evil,
      },
    ],
    daemon: { address: evil, failure: evil },
  });
  expect(text.split("\n")).toHaveLength(10);
  expect(text).not.toMatch(/[\u001b\u202e]/);
});
