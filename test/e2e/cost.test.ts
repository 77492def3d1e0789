import { beforeAll, describe, expect, test } from "bun:test";
import { addImage, buildImage, buildIndex } from "../support/image-builder.ts";
import { ztocOf } from "../support/indexed-layer.ts";
import { TestRegistry } from "../support/registry.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { buildSociable, sociableOutput } from "../support/sociable-binary.ts";
import { tempDir } from "../support/temp-dir.ts";
import { longestChain, startSlowProxy } from "./slow-proxy.ts";

beforeAll(buildSociable, 120_000);

const SPAN_SIZE = 512 * 1024;
const wanted = sampleBytes(20_000, 7);
const image = await buildImage({
  layers: [
    { entries: [{ name: "base", content: sampleBytes(2_000_000, 1) }] },
    {
      entries: [
        { name: "before", content: sampleBytes(2_000_000, 2) },
        { name: "wanted", content: wanted },
        { name: "after", content: sampleBytes(2_000_000, 3) },
      ],
    },
    { entries: [{ name: "top", content: sampleBytes(2_000_000, 4) }] },
  ],
});
const ARGV = ["create", "--min-layer-size", "0", "--span-size", String(SPAN_SIZE)];

/** What `cat` of the one file asks of a registry that is slow to answer. */
async function costOfCat({ inIndex }: { readonly inIndex: boolean }) {
  await using temp = await tempDir();
  await using registry = TestRegistry.start();
  const platform = { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" };
  const placed = inIndex ? buildIndex([{ image, platform }]) : image;
  await addImage(registry, "app", { image: placed, tag: "v1" });
  const near = `${registry.host}/app:v1`;
  await sociableOutput(temp.join("builder"), [...ARGV, near]);
  await sociableOutput(temp.join("builder"), ["push", near]);
  await using proxy = startSlowProxy(registry.host, { delayMs: 150 });
  registry.clearRequests();
  const far = `${proxy.host}/app:v1`;
  const stdout = await sociableOutput(temp.join("reader"), ["cat", far, "/wanted"]);
  expect(Buffer.from(stdout).equals(wanted)).toBe(true);
  const layers = image.layers.map(({ descriptor }) => descriptor.digest as string);
  const fromLayers = registry.requests.filter(({ path }) => layers.some((d) => path.endsWith(d)));
  return { chain: longestChain(proxy.intervals), fromLayers };
}

describe("the cost of sociable cat, for a file of 20 KB that lies in one span", () => {
  test("is at most 5 requests one after another", async () => {
    expect((await costOfCat({ inIndex: false })).chain).toBeLessThanOrEqual(5);
  });

  test("is at most one more for an image index", async () => {
    expect((await costOfCat({ inIndex: true })).chain).toBeLessThanOrEqual(6);
  });

  test("is one span of one layer, beside manifest, index and zTOCs", async () => {
    const { fromLayers } = await costOfCat({ inIndex: false });
    const layer = image.layers[1]?.bytes ?? new Uint8Array(0);
    const { ztoc } = await ztocOf(layer, { spanSize: SPAN_SIZE });
    const file = ztoc.files.find(({ name }) => Buffer.from(name).toString() === "wanted");
    const span = ztoc.zinfo.spanOf(file?.uncompressedOffset ?? 0);
    const { compressedStart, compressedEnd } = ztoc.zinfo.rangeOf(span, ztoc);
    expect(fromLayers).toMatchObject([{ status: 206 }]);
    expect(fromLayers[0]?.bytes).toBeLessThanOrEqual(1.5 * (compressedEnd - compressedStart));
  });
});

describe("longestChain()", () => {
  test("counts requests that overlap once", () => {
    const at = (start: number, end: number) => ({ path: "", start, end });
    expect(longestChain([at(0, 10), at(1, 9), at(10, 20), at(12, 30), at(21, 25)])).toBe(3);
  });
});
