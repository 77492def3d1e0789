import { describe, expect, test } from "bun:test";
import { readFile, stat } from "node:fs/promises";
import { ztocShowCommand } from "../../../src/cli/commands/ztoc-show.ts";
import { geometryOf, wholeGeometry } from "../../../src/cache/encode-geometry.ts";
import { LayerCache } from "../../../src/cache/layer-cache.ts";
import { keyByZtoc, type LayerKey } from "../../../src/cache/layer-key.ts";
import { NO_LOG } from "../../../src/observability/log.ts";
import { type Digest, hexOf } from "../../../src/oci/digest.ts";
import { decodeZtoc } from "../../../src/ztoc/decode-ztoc.ts";
import type { Ztoc } from "../../../src/ztoc/ztoc.ts";
import { fill } from "../../cache/samples.ts";
import { buildImage, buildLayer } from "../../support/image-builder.ts";
import { sampleBytes } from "../../support/sample-bytes.ts";
import { type FakeIoOptions, runInProcess } from "../fake-io.ts";
import { type CliImage, cliImage } from "./cli-image.ts";
import { withCommands } from "./with-commands.ts";
import { createZtoc, type Sandbox, sampleLayer, sandbox } from "./ztoc-sandbox.ts";

const registry = withCommands([ztocShowCommand]);
const layer = await sampleLayer();

async function withZtoc(): Promise<Sandbox & { readonly digest: Digest; readonly ztoc: Ztoc }> {
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await sandbox());
  const digest = await createZtoc(box, layer.bytes);
  const ztoc = decodeZtoc(await readFile(box.join("ztoc")));
  const owned = stack.move();
  return { ...box, digest, ztoc, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function show(box: Sandbox, argv: readonly string[], options: FakeIoOptions = {}) {
  return box.run(["ztoc", "show", ...argv], { registry, ...options });
}

/** Puts spans into the cache of a sandbox; `ztoc` undefined: of a layer that was read whole. */
async function fillCache(
  box: Sandbox,
  {
    key,
    ztoc,
    spans,
  }: { readonly key: LayerKey; ztoc: Ztoc | undefined; spans: readonly number[] },
): Promise<void> {
  await using cache = await LayerCache.open({
    root: box.root,
    sharedMemory: box.path,
    log: NO_LOG,
  });
  const sizes = { compressedSize: layer.bytes.length, uncompressedSize: layer.tar.length };
  const geometry = ztoc === undefined ? wholeGeometry(sizes) : geometryOf(ztoc);
  const tables = { entries: Buffer.from("entries"), inodes: Buffer.from("inodes") };
  await using cached = await cache.createLayer(key, { ...tables, geometry: [...geometry] });
  for (const span of spans) fill(cached, span, layer.tar);
}

async function localSpans(box: Sandbox, flags: readonly string[] = []): Promise<readonly number[]> {
  const { stdout } = await show(box, ["--json", ...flags, "ztoc"]);
  const { spans } = JSON.parse(stdout) as { spans: readonly { id: number; isLocal: boolean }[] };
  return spans.filter(({ isLocal }) => isLocal).map(({ id }) => id);
}

describe("sociable ztoc show", () => {
  test("prints a line for each span", async () => {
    await using box = await withZtoc();
    const { code, stdout } = await show(box, ["ztoc"]);
    expect(code).toBe(0);
    expect(stdout).toStartWith(`zTOC   ${box.digest} (`);
    expect(stdout).toContain("local  there is no layer cache on this host\n");
    const rows = stdout.split("\n").filter((line) => /^ *\d/.test(line));
    expect(rows).toHaveLength(box.ztoc.maxSpanId + 1);
  });

  test("draws a picture with --map, as wide as it is told", async () => {
    await using box = await withZtoc();
    const { code, stdout } = await show(box, ["--map", "--width", "90", "ztoc"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\/usr +│[ ▁-█]+│ +585\.9 KiB +2 +\d+$/m);
    expect(
      Math.max(
        ...stdout.split("\n").flatMap((line) => (line.includes("│") ? Bun.stringWidth(line) : [])),
      ),
    ).toBe(90);
    expect(stdout).toMatch(/^ *0-\d+ +585\.9 KiB +\/usr\/big$/m);
  });

  test("writes a page with --html and prints nothing", async () => {
    await using box = await withZtoc();
    expect(await show(box, ["--html", "map.html", "ztoc"])).toMatchObject({ code: 0, stdout: "" });
    const page = await readFile(box.join("map.html"), "utf8");
    expect(page).toStartWith("<!doctype html>");
    expect(page).toEndWith("</html>\n");
    expect((await stat(box.join("map.html"))).mode & 0o777).toBe(0o644);
  });

  test("shows which spans the cache has of a layer that came by the zTOC", async () => {
    await using box = await withZtoc();
    const key = keyByZtoc(layer.descriptor.digest, box.digest);
    await fillCache(box, { key, ztoc: box.ztoc, spans: [0, 2, 3] });
    expect(await localSpans(box)).toEqual([0, 2, 3]);
    const { stdout } = await show(box, ["--map", "ztoc"]);
    expect(stdout).toContain(`layer  ${layer.descriptor.digest}\n`);
    expect(stdout).toContain(`local  3 of ${box.ztoc.maxSpanId + 1} spans are in the cache\n`);
  });

  test("knows a layer that was read whole by its digest", async () => {
    await using box = await withZtoc();
    const key = layer.descriptor.digest;
    await fillCache(box, { key, ztoc: undefined, spans: [0] });
    expect(await localSpans(box)).toEqual([]);
    expect(await localSpans(box, ["--layer", key])).toHaveLength(box.ztoc.maxSpanId + 1);
  });

  test("takes a damaged layer of the cache for none", async () => {
    await using box = await withZtoc();
    const key = keyByZtoc(layer.descriptor.digest, box.digest);
    await fillCache(box, { key, ztoc: box.ztoc, spans: [0] });
    const directory = `${box.root}/cache/sha256/${key.slice("sha256:".length)}`;
    await Bun.write(`${directory}/geometry`, "damaged");
    expect(await localSpans(box)).toEqual([]);
    expect(await readFile(`${directory}/geometry`, "utf8")).toBe("damaged");
  });

  test("prints a JSON object with --json", async () => {
    await using box = await withZtoc();
    const { stdout } = await show(box, ["--json", "--directories", "1", "ztoc"]);
    expect(JSON.parse(stdout)).toMatchObject({
      ztoc: box.digest,
      layer: null,
      compression: "gzip",
      compressedSize: layer.bytes.length,
      localSpans: null,
      directories: [{ name: "/", files: 4 }],
      straddlers: [{ name: "/usr/big", size: 600_000, firstSpan: 0 }],
    });
  });

  test("takes a zTOC of the state directory by its digest, and knows its layer", async () => {
    await using box = await sandbox();
    const digest = await createZtoc(box, layer.bytes, ["--span-size", "4096"]);
    const { code, stdout } = await show(box, [digest]);
    expect(code).toBe(0);
    expect(stdout).toContain(`layer  ${layer.descriptor.digest}\n`);
  });

  describe("with --image", () => {
    const one = { entries: [{ name: "one", content: sampleBytes(50_000) }] };
    const two = { entries: [{ name: "two", content: sampleBytes(60_000, 2) }] };

    async function indexed(): Promise<CliImage> {
      await using stack = new AsyncDisposableStack();
      const cli = stack.use(await cliImage(await buildImage({ layers: [one, two] })));
      expect((await cli.run(["create", "--min-layer-size", "0", cli.name])).code).toBe(0);
      expect((await cli.run(["push", cli.name])).code).toBe(0);
      stack.move();
      return cli;
    }

    function showOf(cli: CliImage, ...argv: readonly string[]) {
      const commands = ["ztoc", "show", "--root", cli.temp.join("another"), "--image", cli.name];
      return runInProcess([...commands, ...argv], { registry, cwd: cli.temp.path });
    }

    test("takes the zTOC of a layer by how the layer's digest begins", async () => {
      await using cli = await indexed();
      const { digest } = (await buildLayer(two)).descriptor;
      const { code, stdout } = await showOf(cli, "--json", hexOf(digest).slice(0, 12));
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        layer: digest,
        directories: [{ files: 1, bytes: 60_000 }],
      });
      const whole = await showOf(cli, "--json", JSON.parse(stdout).ztoc);
      expect(whole.stdout).toBe(stdout);
    });

    test("fetches nothing of the layers", async () => {
      await using cli = await indexed();
      cli.registry.clearRequests();
      const { digest } = (await buildLayer(one)).descriptor;
      expect((await showOf(cli, digest)).code).toBe(0);
      expect(cli.registry.requests.filter(({ path }) => path.endsWith(digest))).toEqual([]);
    });

    test.each([
      { title: "a digest that the index does not name", ztoc: "0".repeat(64), code: 1 },
      { title: "too few digits", ztoc: "abc", code: 2 },
      { title: "what is no digest", ztoc: "layer.ztoc", code: 2 },
    ])("refuses $title", async ({ ztoc, code }) => {
      await using cli = await indexed();
      expect(await showOf(cli, ztoc)).toMatchObject({ code, stdout: "" });
    });

    test("refuses an image without an index", async () => {
      await using cli = await cliImage(await buildImage({ layers: [one] }));
      expect(await showOf(cli, "0".repeat(64))).toMatchObject({ code: 1, stdout: "" });
    });
  });

  test.each([
    { title: "a digest where there is no store", argv: [`sha256:${"0".repeat(64)}`], code: 1 },
    { title: "a file that is not there", argv: ["nothing"], code: 1 },
    { title: "a file that is no zTOC", argv: ["layer"], code: 1 },
    { title: "a layer's name that is no digest", argv: ["--layer", "x", "ztoc"], code: 2 },
    {
      title: "a page in a directory that is not there",
      argv: ["--html", "no/m.html", "ztoc"],
      code: 1,
    },
  ])("refuses $title", async ({ argv, code }) => {
    await using box = await withZtoc();
    expect(await show(box, argv)).toMatchObject({ code, stdout: "" });
  });
});
