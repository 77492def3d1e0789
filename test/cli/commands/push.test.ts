import { describe, expect, test } from "bun:test";
import { buildImage, buildIndex, writeLayout } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { cliImage } from "./cli-image.ts";

const image = await buildImage({
  layers: [
    { entries: [{ name: "a", content: sampleBytes(300_000, 1) }] },
    { entries: [{ name: "b", content: sampleBytes(300_000, 2) }] },
  ],
});
const CREATE = ["create", "--json", "--min-layer-size", "0"];
const TAG = image.descriptor.digest.replace(":", "-");

async function digestCreated(stdout: string): Promise<string> {
  return JSON.parse(stdout)[0].digest;
}

describe("sociable push", () => {
  test("puts zTOCs, config and index beside the image", async () => {
    await using cli = await cliImage(image);
    const digest = await digestCreated((await cli.run([...CREATE, cli.name])).stdout);
    const { code, stdout } = await cli.run(["push", cli.name]);
    expect(code).toBe(0);
    expect(stdout).toStartWith(
      `checking if a soci index already exists in remote repository...\npushing soci index with digest: ${digest}\n`,
    );
    expect(stdout.match(/^successfully pushed artifact with digest: sha256:/gm)).toHaveLength(4);
    expect(cli.registry.manifest("app", digest)).toBeDefined();
  });

  test("writes no tag where the registry lists referrers itself", async () => {
    await using cli = await cliImage(image);
    await cli.run([...CREATE, cli.name]);
    await cli.run(["push", cli.name]);
    expect(cli.registry.manifest("app", TAG)).toBeUndefined();
  });

  test("writes the fallback tag where it does not", async () => {
    await using cli = await cliImage(image, { referrersApi: false });
    const digest = await digestCreated((await cli.run([...CREATE, cli.name])).stdout);
    await cli.run(["push", cli.name]);
    const bytes = cli.registry.manifest("app", TAG)?.bytes ?? new Uint8Array(0);
    expect(JSON.parse(Buffer.from(bytes).toString()).manifests).toMatchObject([{ digest }]);
  });

  test("leaves the image's manifest as it is", async () => {
    await using cli = await cliImage(image);
    await cli.run([...CREATE, cli.name]);
    await cli.run(["push", cli.name]);
    expect(cli.registry.manifest("app", "v1")?.bytes).toEqual(image.manifest);
  });

  test("sends nothing twice", async () => {
    await using cli = await cliImage(image);
    const digest = await digestCreated((await cli.run([...CREATE, cli.name])).stdout);
    await cli.run(["push", cli.name]);
    cli.registry.clearRequests();
    const { stdout } = await cli.run(["push", cli.name]);
    expect(cli.registry.requests.filter(({ method }) => method === "POST")).toEqual([]);
    expect(cli.registry.requests.filter(({ method }) => method === "HEAD")).toEqual([]);
    expect(stdout).toEndWith(`skipped artifact with digest: ${digest}\n`);
  });

  test("says of an index that is there what it says of what it pushes, and sends nothing", async () => {
    await using cli = await cliImage(image);
    const digest = await digestCreated((await cli.run([...CREATE, cli.name])).stdout);
    await cli.run(["push", cli.name]);
    cli.registry.clearRequests();
    const { stdout } = await cli.run(["push", "--existing-index", "allow", cli.name]);
    expect(stdout).toBe(
      `pushing soci index with digest: ${digest}\nskipped artifact with digest: ${digest}\n`,
    );
    expect(cli.registry.requests.every(({ method }) => method === "GET")).toBe(true);
  });

  test("asks for each blob once where the repository has all but lists no index", async () => {
    await using cli = await cliImage(image, { referrersApi: false });
    await cli.run([...CREATE, cli.name]);
    await cli.run(["push", cli.name]);
    cli.registry.clearRequests();
    cli.registry.failNext(2, { status: 404, method: "GET", path: /referrers|sha256-/ });
    await cli.run(["push", cli.name]);
    const count = (method: string) =>
      cli.registry.requests.filter((request) => request.method === method).length;
    expect(count("HEAD")).toBe(1 + image.layers.length);
    expect(count("POST")).toBe(0);
  });

  test("pushes where the registry cannot list indexes and that is to be allowed", async () => {
    await using cli = await cliImage(image);
    const digest = await digestCreated((await cli.run([...CREATE, cli.name])).stdout);
    cli.registry.failNext(1000, { status: 403, method: "GET", path: /referrers/ });
    expect(await cli.run(["push", cli.name])).toMatchObject({ code: 1 });
    const argv = ["push", "-q", "--existing-index", "allow", cli.name];
    expect(await cli.run(argv)).toMatchObject({ code: 0, stdout: `${digest}\n` });
  });

  test("pushes nothing when one of the platforms has no index", async () => {
    const other = await buildImage({
      layers: [],
      platform: { os: "linux", architecture: "arm64" },
    });
    await using cli = await cliImage(
      buildIndex([
        { image, platform: { os: "linux", architecture: "amd64" } },
        { image: other, platform: { os: "linux", architecture: "arm64" } },
      ]),
    );
    await cli.run([...CREATE, "-p", "linux/amd64", cli.name]);
    expect(await cli.run(["push", "--all-platforms", cli.name])).toMatchObject({
      code: 1,
      stdout: "",
    });
  });

  test.each([
    { title: "says that there is one", flags: [], word: "[WARN] soci index found", pushed: true },
    {
      title: "leaves it at that",
      flags: ["--existing-index", "skip"],
      word: "skipping pushing artifacts for image manifest",
      pushed: false,
    },
    {
      title: "says nothing",
      flags: ["--existing-index", "allow"],
      word: "pushing soci index",
      pushed: true,
    },
  ])("where the repository has another index: $title", async ({ flags, word, pushed }) => {
    await using cli = await cliImage(image);
    await cli.run([...CREATE, cli.name]);
    await cli.run(["push", cli.name]);
    const digest = await digestCreated(
      (await cli.run([...CREATE, "--span-size", "64KiB", cli.name])).stdout,
    );
    const { code, stdout } = await cli.run(["push", ...flags, cli.name]);
    expect(code).toBe(0);
    expect(stdout).toContain(word);
    expect(cli.registry.manifest("app", digest) !== undefined).toBe(pushed);
  });

  test("says that there are several", async () => {
    await using cli = await cliImage(image, { referrersApi: false });
    for (const size of ["64KiB", "128KiB"]) {
      await cli.run([...CREATE, "--span-size", size, cli.name]);
      await cli.run(["push", cli.name]);
    }
    const { stdout } = await cli.run(["push", "--existing-index", "skip", cli.name]);
    expect(stdout).toContain("multiple soci indices found in remote repository: skipping");
  });

  test("exits 2 for an unknown answer to an index that exists", async () => {
    await using cli = await cliImage(image);
    expect(await cli.run(["push", "--existing-index", "bogus", cli.name])).toMatchObject({
      code: 2,
      stdout: "",
    });
  });

  test("pushes the newest index of each platform", async () => {
    const other = await buildImage({
      layers: [{ entries: [{ name: "c", content: sampleBytes(50_000, 5) }] }],
      platform: { os: "linux", architecture: "arm64" },
    });
    await using cli = await cliImage(
      buildIndex([
        { image, platform: { os: "linux", architecture: "amd64" } },
        { image: other, platform: { os: "linux", architecture: "arm64" } },
      ]),
    );
    await cli.run([...CREATE, "--all-platforms", "--span-size", "64KiB", cli.name]);
    const { stdout } = await cli.run([...CREATE, "--all-platforms", cli.name]);
    const newest = JSON.parse(stdout).map(({ digest }: { digest: string }) => digest);
    const pushed = await cli.run(["push", "--all-platforms", "-q", cli.name]);
    expect(pushed.stdout.trim().split("\n")).toEqual(newest);
  });

  test("prints the digest alone with --quiet", async () => {
    await using cli = await cliImage(image);
    const digest = await digestCreated((await cli.run([...CREATE, cli.name])).stdout);
    expect(await cli.run(["push", "-q", cli.name])).toMatchObject({ stdout: `${digest}\n` });
  });

  test("prints a JSON array with --json", async () => {
    await using cli = await cliImage(image);
    const digest = await digestCreated((await cli.run([...CREATE, cli.name])).stdout);
    const { stdout } = await cli.run(["push", "--json", cli.name]);
    const subject = image.descriptor.digest;
    expect(JSON.parse(stdout)).toMatchObject([{ digest, subject, platform: "linux/amd64" }]);
  });

  test("exits 1 where no index was made, and says how to make one", async () => {
    await using cli = await cliImage(image);
    const { code, stdout, stderr } = await cli.run(["push", cli.name]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("sociable create");
  });

  test("exits 2 for an image that is in no registry", async () => {
    await using cli = await cliImage(image);
    await writeLayout(cli.temp.join("layout"), { image });
    const name = `oci:${cli.temp.join("layout")}`;
    expect(await cli.run(["push", name])).toMatchObject({ code: 2, stdout: "" });
  });

  test("exits 1 when the registry refuses", async () => {
    await using cli = await cliImage(image);
    await cli.run([...CREATE, cli.name]);
    cli.registry.failNext(1000, { status: 403, method: "POST" });
    expect(await cli.run(["push", cli.name])).toMatchObject({ code: 1 });
  });

  test("puts no index when a zTOC could not be put", async () => {
    await using cli = await cliImage(image);
    const digest = await digestCreated((await cli.run([...CREATE, cli.name])).stdout);
    cli.registry.failNext(1, { status: 403, method: "POST" });
    await cli.run(["push", cli.name]);
    expect(cli.registry.manifest("app", digest)).toBeUndefined();
  });
});
