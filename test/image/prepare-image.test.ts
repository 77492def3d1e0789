import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { digestOf } from "../../src/oci/digest.ts";
import { parsePlatform } from "../../src/oci/platform.ts";
import { rejectionOf } from "../support/failure.ts";
import {
  type BuiltImage,
  type BuiltLayer,
  buildDockerArchive,
  buildImage,
  buildIndex,
  buildOciArchive,
  imageOf,
  layerOf,
  writeLayout,
} from "../support/image-builder.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { addIndex } from "./add-index.ts";
import { placeImage } from "./opened-image.ts";
import { blobOf, blobsAsked, image, lower, upper } from "./prepare-samples.ts";
import { prepare } from "./prepared-image.ts";

describe("prepareImage()", () => {
  test("makes the layers of an indexed image by their zTOCs, without their data", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image);
    await using prepared = await prepare(root.path, placed.name);
    expect(prepared.index?.from).toBe("referrers");
    expect(prepared.layers.map(({ from }) => from)).toEqual(["index", "index"]);
    expect(prepared.names()).toEqual(["a", "b"]);
    expect(prepared.data(0)).toBeUndefined();
    const asked = blobsAsked(placed.registry.requests);
    expect(asked).not.toContain(lower.descriptor.digest);
    expect(asked).not.toContain(image.config.descriptor.digest);
  });

  test("takes the layers of an image without an index whole, and says so", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const streamed: unknown[] = [];
    let bytes = 0;
    await using prepared = await prepare(root.path, placed.name, {
      onStreamed: (layers, isIndexed) => streamed.push([layers.length, isIndexed]),
      onBytes: (count) => {
        bytes += count;
      },
    });
    expect(streamed).toEqual([[2, false]]);
    expect(bytes).toBe(lower.bytes.length + upper.bytes.length);
    expect(prepared.index).toBeUndefined();
    expect(prepared.layers.map(({ from }) => from)).toEqual(["streamed", "streamed"]);
    expect(prepared.layers.map(({ diffId }) => String(diffId))).toEqual(
      [lower, upper].map(diffIdOf),
    );
    expect(prepared.names()).toEqual(["a", "b"]);
    expect(prepared.data(0)?.equals(lower.tar)).toBe(true);
    expect(prepared.data(1)?.equals(upper.tar)).toBe(true);
  });

  test("takes a layer whole that the index leaves out", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image, { only: [0] });
    await using prepared = await prepare(root.path, placed.name);
    expect(prepared.layers.map(({ from }) => from)).toEqual(["index", "streamed"]);
    expect(prepared.names()).toEqual(["a", "b"]);
    expect(prepared.data(0)).toBeUndefined();
    expect(prepared.data(1)?.equals(upper.tar)).toBe(true);
  });

  test.each([
    { title: "is missing", options: { withoutBlobs: true } },
    { title: "is cut off", options: { change: (ztoc: Buffer) => ztoc.subarray(0, 500) } },
    { title: "is noise", options: { change: () => randomBytes(1000) } },
  ])("takes a layer whole whose zTOC $title, with a warning", async ({ options }) => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image, options);
    const streamed: string[] = [];
    await using prepared = await prepare(root.path, placed.name, {
      onStreamed: (layers) => streamed.push(...layers.map(({ digest }) => digest)),
    });
    expect(prepared.layers.map(({ from }) => from)).toEqual(["streamed", "streamed"]);
    expect(streamed.toSorted()).toEqual([lower, upper].map((l) => l.descriptor.digest).toSorted());
    const warned = prepared.records.filter(({ message }) => message === "layer is not lazy");
    expect(warned).toHaveLength(2);
    expect(prepared.data(0)?.equals(lower.tar)).toBe(true);
  });

  test("asks for the manifest alone when everything is there", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image, { only: [0] });
    await (await prepare(root.path, placed.name))[Symbol.asyncDispose]();
    placed.registry.clearRequests();
    await using again = await prepare(root.path, placed.name);
    expect(placed.registry.requests).toHaveLength(1);
    expect(again.layers.map(({ from }) => from)).toEqual(["cache", "cache"]);
    expect(again.names()).toEqual(["a", "b"]);
    expect(again.data(1)?.equals(upper.tar)).toBe(true);
  });

  test("asks for the image index alone when everything of one platform is there", async () => {
    await using root = await tempDir();
    const amd = { os: "linux", architecture: "amd64" };
    await using placed = await placeImage(buildIndex([{ image, platform: amd }]));
    await (await prepare(root.path, placed.name))[Symbol.asyncDispose]();
    placed.registry.clearRequests();
    await using again = await prepare(root.path, placed.name);
    expect(placed.registry.requests.map(({ path }) => path)).toEqual(["/v2/app/manifests/v1"]);
    expect(again.names()).toEqual(["a", "b"]);
  });

  test("merges layers that are there for another image without the network", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await (await prepare(root.path, placed.name))[Symbol.asyncDispose]();
    const other = imageOf([lower]);
    await using second = await placeImage(other);
    await using prepared = await prepare(root.path, second.name);
    expect(second.registry.requests).toHaveLength(1);
    expect(prepared.names()).toEqual(["a", "gone"]);
  });

  test("takes a layer that an image holds twice once", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([lower, upper, lower]));
    await using prepared = await prepare(root.path, placed.name);
    expect(prepared.layers[0]?.layer).toBe(prepared.layers[2]?.layer);
    expect(prepared.names()).toEqual(["a", "b", "gone"]);
    const { digest } = lower.descriptor;
    expect(blobsAsked(placed.registry.requests).filter((name) => name === digest)).toHaveLength(1);
  });

  test("keeps the zTOCs that it makes, and uses them when the layer is gone", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    {
      await using prepared = await prepare(root.path, placed.name, { withStore: true });
      const ztocs = prepared.store?.artifacts.findZtocs(lower.descriptor.digest, 4 << 20) ?? [];
      expect(ztocs).toHaveLength(1);
    }
    await using other = await tempDir();
    await Bun.spawn(["cp", "-r", join(root.path, "content"), other.path]).exited;
    await Bun.spawn(["cp", join(root.path, "artifacts.sqlite"), other.path]).exited;
    await using prepared = await prepare(other.path, placed.name, { withStore: true });
    expect(prepared.layers.map(({ from }) => from)).toEqual(["index", "index"]);
    expect(prepared.names()).toEqual(["a", "b"]);
  });

  test("prepares the platform that is asked for", async () => {
    const arm = { os: "linux", architecture: "arm64" };
    const other = await buildImage({
      layers: [{ entries: [{ name: "arm", content: "1" }] }],
      platform: arm,
    });
    const amd = { os: "linux", architecture: "amd64" };
    const both = buildIndex([
      { image, platform: amd },
      { image: other, platform: arm },
    ]);
    await using root = await tempDir();
    await using placed = await placeImage(both);
    await addIndex(placed.registry, other);
    await using prepared = await prepare(root.path, placed.name, {
      platform: parsePlatform("linux/arm64"),
    });
    expect(prepared.index?.from).toBe("referrers");
    expect(prepared.names()).toEqual(["arm"]);
    const asked = placed.registry.requests.filter(({ path }) => path.includes("/referrers/"));
    expect(asked).toHaveLength(1);
  });

  test("throws the signal's reason", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    expect(await rejectionOf(prepare(root.path, placed.name, { signal }))).toBe(reason);
  });
});

const members = Buffer.concat([
  gzipSync(lower.tar.subarray(0, 100_000)),
  gzipSync(lower.tar.subarray(100_000)),
]);

const ENCODINGS: readonly { readonly title: string; readonly layer: BuiltLayer }[] = [
  { title: "gzip", layer: lower },
  { title: "gzip of several members", layer: { ...layerOf(lower.tar), ...blobOf(members) } },
  { title: "zstd", layer: layerOf(lower.tar, "zstd") },
  { title: "plain tar", layer: layerOf(lower.tar, "none") },
  // The bytes tell, not the media type.
  { title: "plain tar that is called gzip", layer: { ...lower, ...blobOf(lower.tar) } },
];

const SOURCES: readonly {
  readonly title: string;
  readonly place: (dir: TempDir, image: BuiltImage) => Promise<string>;
}[] = [
  {
    title: "OCI layout",
    place: async (dir, one) => {
      await writeLayout(dir.join("layout"), { image: one, tag: "v1" });
      return `oci:${dir.join("layout")}:v1`;
    },
  },
  {
    title: "OCI archive",
    place: async (dir, one) => {
      await writeFile(dir.join("oci.tar"), await buildOciArchive(one, { tag: "v1" }));
      return `oci-archive:${dir.join("oci.tar")}:v1`;
    },
  },
  {
    title: "docker archive",
    place: async (dir, one) => {
      await writeFile(dir.join("docker.tar"), await buildDockerArchive(one));
      return `docker-archive:${dir.join("docker.tar")}`;
    },
  },
];

describe("prepareImage()", () => {
  test.each(ENCODINGS)("takes $title", async ({ layer }) => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([layer, upper]));
    await using prepared = await prepare(root.path, placed.name);
    expect(prepared.data(0)?.equals(lower.tar)).toBe(true);
    expect(prepared.names()).toEqual(["a", "b"]);
  });

  test.each(SOURCES)("prepares an image of an $title", async ({ place }) => {
    await using root = await tempDir();
    await using dir = await tempDir();
    const name = await place(dir, image);
    await using prepared = await prepare(root.path, name);
    expect(prepared.data(0)?.equals(lower.tar)).toBe(true);
    expect(prepared.names()).toEqual(["a", "b"]);
    await using again = await prepare(root.path, name);
    expect(again.layers.map(({ from }) => from)).toEqual(["cache", "cache"]);
  });

  test("prepares an image without layers", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([]));
    await using prepared = await prepare(root.path, placed.name);
    expect(prepared.names()).toEqual([]);
  });

  test("prepares a layer without bytes", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(imageOf([layerOf(new Uint8Array(0), "none"), lower]));
    await using prepared = await prepare(root.path, placed.name);
    expect(prepared.names()).toEqual(["a", "gone"]);
  });
});

const LAYERS = join(import.meta.dirname, "../fixtures/golden/layers");

describe("prepareImage()", () => {
  test.each([
    "c-gnutar-sparse-gnu.tar.gz",
    "c-gnutar-sparse-posix-1.0.tar.gz",
    "c-type-37.tar.gz",
    "c-pax-global.tar.gz",
  ])("takes %s, which no zTOC holds, and lets spans of it be fetched later", async (file) => {
    await using root = await tempDir();
    const bytes = await readFile(join(LAYERS, file));
    const tar = Bun.gunzipSync(bytes);
    await using placed = await placeImage(imageOf([{ ...layerOf(tar), ...blobOf(bytes) }]));
    await using prepared = await prepare(root.path, placed.name, { withStore: true });
    expect(prepared.layers[0]?.layer.geometry.encoding).toBe("gzip");
    expect(prepared.names().length).toBeGreaterThan(0);
    const { digest } = prepared.layers[0]?.descriptor ?? lower.descriptor;
    expect(prepared.store?.artifacts.findZtocs(digest, 4 << 20)).toEqual([]);
  });
});

function diffIdOf({ tar }: BuiltLayer): string {
  return digestOf(tar);
}
