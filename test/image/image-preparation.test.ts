import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { rm, truncate } from "node:fs/promises";
import { cacheRootOf, layerDirectory, layerPaths } from "../../src/cache/cache-paths.ts";
import { mapTable } from "../../src/cache/table-file.ts";
import type { LayerIngester } from "../../src/image/layer-ingester.ts";
import { ManifestMemory } from "../../src/image/manifest-memory.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { ChainTable, newChainChild } from "../../src/tree/chain-table.ts";
import { rejectionOf } from "../support/failure.ts";
import {
  type BuiltImage,
  buildImage,
  buildTar,
  imageOf,
  layerOf,
} from "../support/image-builder.ts";
import { tempDir } from "../support/temp-dir.ts";
import { addIndex } from "./add-index.ts";
import { placeImage } from "./opened-image.ts";
import { blobsAsked, image, lower, three, upper } from "./prepare-samples.ts";
import { smallDisk } from "./small-disk.ts";
import { startPreparation } from "./started-preparation.ts";

function digestAt(of: BuiltImage, i: number): Digest {
  const digest = of.layers[i]?.descriptor.digest;
  if (digest === undefined) throw new Error(`no layer ${i}`);
  return digest;
}

/** Holds one layer back until it is let go. */
function gate(layer: Digest) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const around =
    (ingest: LayerIngester): LayerIngester =>
    async (source, request, use) => {
      if (request.layer === layer) await promise;
      return await ingest(source, request, use);
    };
  return { around, open: resolve };
}

function namesIn(treePath: string): string[] {
  const tree = ChainTable.open(mapTable(treePath));
  const child = newChainChild();
  return Array.from({ length: tree.childCount(0) }, (_, i) => {
    tree.childAt(0, i, child);
    return Buffer.from(tree.names.subarray(child.nameStart, child.nameEnd)).toString();
  });
}

describe("ImagePreparation.layer()", () => {
  test("answers for a layer by its zTOC while another is still read whole", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image, { only: [1] });
    const { around, open } = gate(digestAt(image, 0));
    await using started = await startPreparation(root.path, placed.name, { around });
    expect(await started.outcome(digestAt(image, 1))).toBe("index");
    open();
    expect(await started.outcome(digestAt(image, 0))).toBe("streamed");
  });

  test("gives each caller a layer of its own, which outlives the preparation", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const started = await startPreparation(root.path, placed.name);
    const { preparation } = started;
    const both = await Promise.all([0, 1].map(() => preparation.layer(digestAt(image, 0))));
    await preparation[Symbol.asyncDispose]();
    for (const outcome of both) {
      if (outcome.kind !== "ready") throw new Error(outcome.detail);
      expect(outcome.layer.isComplete).toBe(true);
      expect(outcome.descriptor).toEqual(lower.descriptor);
      expect(outcome.isWhole).toBe(true);
      expect(outcome.hasIndex).toBe(false);
      expect(outcome.diffId).toBe(digestOf(lower.tar));
      await outcome.layer[Symbol.asyncDispose]();
    }
    await started[Symbol.asyncDispose]();
  });

  test("refuses a cached layer of which the manifest says another size", async () => {
    await using root = await tempDir();
    {
      await using placed = await placeImage(image);
      await using first = await startPreparation(root.path, placed.name);
      expect(await first.outcome(lower.descriptor.digest)).toBe("streamed");
    }
    const wrong = { ...lower.descriptor, size: lower.descriptor.size + 1 };
    await using placed = await placeImage(imageOf([{ ...lower, descriptor: wrong }]));
    await using started = await startPreparation(root.path, placed.name);
    expect(await started.preparation.layer(wrong.digest)).toMatchObject({
      kind: "refused",
      reason: "data",
      detail: expect.stringContaining(`says ${wrong.size} bytes`),
    });
  });

  test("tells later how a layer came, when it is in the cache", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image, { only: [0] });
    {
      await using first = await startPreparation(root.path, placed.name);
      expect(await first.outcomes(image.layers)).toEqual(["index", "streamed"]);
    }
    await using again = await startPreparation(root.path, placed.name);
    const isWhole = [];
    for (const { descriptor } of image.layers) {
      const outcome = await again.preparation.layer(descriptor.digest);
      if (outcome.kind !== "ready") throw new Error(outcome.detail);
      isWhole.push([outcome.from, outcome.isWhole]);
      await outcome.layer[Symbol.asyncDispose]();
    }
    expect(isWhole).toEqual([
      ["cache", false],
      ["cache", true],
    ]);
  });

  test("refuses a layer that is wrong, and no other", async () => {
    await using root = await tempDir();
    const noise = layerOf(randomBytes(5000));
    const mixed = imageOf([lower, noise, upper]);
    await using placed = await placeImage(mixed);
    await using started = await startPreparation(root.path, placed.name);
    expect(await started.outcomes(mixed.layers)).toEqual(["streamed", "data", "streamed"]);
    const { preparation } = started;
    using tree = await preparation.tree([digestAt(mixed, 0)]);
    expect(namesIn(tree.treePath)).toEqual(["a", "gone"]);
    expect(await rejectionOf(preparation.tree())).toMatchObject({ kind: "data-loss" });
  });

  test("refuses a layer that the registry does not give, and no other", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    placed.registry.failNext(100, { status: 403, path: new RegExp(digestAt(image, 0)) });
    await using started = await startPreparation(root.path, placed.name);
    expect(await started.outcomes(image.layers)).toEqual(["registry", "streamed"]);
  });

  test("refuses a layer that there is no room for", async () => {
    await using root = await tempDir();
    const big = layerOf(await buildTar([{ name: "big", content: randomBytes(8 << 20) }]));
    await using placed = await placeImage(imageOf([big]));
    await using started = await startPreparation(root.path, placed.name, { capBytes: 1 << 20 });
    expect(await started.outcome(big.descriptor.digest)).toBe("no-room");
  });

  test("refuses a layer that the manifest does not name", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await using started = await startPreparation(root.path, placed.name);
    expect(await started.outcome(digestOf("another"))).toBe("data");
  });

  test("refuses all layers of an image that cannot be had", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    placed.registry.failNext(100, { status: 404, path: /manifests/ });
    await using started = await startPreparation(root.path, placed.name);
    expect(await started.outcomes(image.layers)).toEqual(["registry", "registry"]);
    expect(await rejectionOf(started.preparation.image())).toMatchObject({ kind: "not-found" });
  });

  test("gives what was read whole although the image cannot be had", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const layers = image.layers.map(({ descriptor }) => descriptor.digest);
    {
      await using first = await startPreparation(root.path, placed.name);
      (await first.preparation.tree())[Symbol.dispose]();
    }
    placed.registry.failNext(100, { status: 403, path: /./ });
    await using started = await startPreparation(root.path, placed.name);
    const outcome = await started.preparation.layer(digestAt(image, 0));
    if (outcome.kind !== "ready") throw new Error(outcome.detail);
    await using layer = outcome.layer;
    expect(layer.geometry.encoding).toBe("gzip");
    expect(outcome.descriptor).toEqual(lower.descriptor);
    expect(await started.outcome(digestOf("another"))).toBe("registry");
    using tree = await started.preparation.tree(layers);
    expect(namesIn(tree.treePath)).toEqual(["a", "b"]);
  });

  test("asks nobody when all is there and the manifest is near", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await addIndex(placed.registry, image);
    {
      await using first = await startPreparation(root.path, placed.name);
      (await first.preparation.tree())[Symbol.dispose]();
    }
    placed.registry.clearRequests();
    await using started = await startPreparation(root.path, placed.name, {
      manifestDigest: image.descriptor.digest,
    });
    expect(await started.outcomes(image.layers)).toEqual(["cache", "cache"]);
    (await started.preparation.tree())[Symbol.dispose]();
    expect(placed.registry.requests).toEqual([]);
  });

  test("makes a layer again of which the entries are damaged", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    {
      await using first = await startPreparation(root.path, placed.name);
      using tree = await first.preparation.tree();
      await truncate(tree.treePath, 10);
    }
    const cacheRoot = cacheRootOf(root.path);
    const { entries } = layerPaths(layerDirectory(cacheRoot, digestAt(image, 0)));
    await damage(entries);
    await using started = await startPreparation(root.path, placed.name);
    expect(await started.outcomes(image.layers)).toEqual(["streamed", "cache"]);
  });

  test("lets one waiter go without the others", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const digest = digestAt(image, 0);
    const { around, open } = gate(digest);
    await using started = await startPreparation(root.path, placed.name, { around });
    const stop = new AbortController();
    const reason = new Error("enough");
    const left = rejectionOf(started.preparation.layer(digest, { signal: stop.signal }));
    const stays = started.outcome(digest);
    stop.abort(reason);
    expect(await left).toBe(reason);
    open();
    expect(await stays).toBe("streamed");
  });

  test("rejects when the preparation is given up, and leaves nothing half-made", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const digest = digestAt(image, 0);
    const begun = Promise.withResolvers<void>();
    const around =
      (): LayerIngester =>
      async (_source, { signal }) => {
        begun.resolve();
        return await new Promise((_, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        });
      };
    await using started = await startPreparation(root.path, placed.name, { around });
    const waiting = rejectionOf(started.preparation.layer(digest));
    await begun.promise;
    await started.preparation[Symbol.asyncDispose]();
    expect(await waiting).toMatchObject({ kind: "unavailable" });
    expect(await rejectionOf(started.preparation.layer(digest))).toMatchObject({
      kind: "unavailable",
    });
    expect(await started.cache.openLayer(digest)).toBeUndefined();
  });
});

describe("ImagePreparation.tree()", () => {
  test("makes the tree of any part of the image", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(three);
    await addIndex(placed.registry, three, { only: [0, 2] });
    const layers = three.layers.map(({ descriptor }) => descriptor.digest);
    for (const round of ["fresh", "cached"]) {
      await using started = await startPreparation(root.path, placed.name);
      using part = await started.preparation.tree(layers.slice(0, 2));
      using all = await started.preparation.tree();
      expect([round, namesIn(part.treePath)]).toEqual([round, ["a", "b"]]);
      expect([round, namesIn(all.treePath)]).toEqual([round, ["a", "b", "c"]]);
      await rm(part.treePath);
    }
  });

  test("throws why a layer is not served", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await using started = await startPreparation(root.path, placed.name, {
      onMissingIndex: "refuse",
    });
    expect(await rejectionOf(started.preparation.tree())).toMatchObject({
      kind: "not-found",
      message: expect.stringContaining("no valid SOCI index found"),
    });
  });
});

describe("ImagePreparation with manifests that are near", () => {
  test("asks the registry for no manifest that is there", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    const { digest } = image.descriptor;
    await using started = await startPreparation(root.path, placed.name, {
      manifestDigest: digest,
      manifests: async (wanted) => (wanted === digest ? image.manifest : undefined),
    });
    expect((await started.preparation.image()).descriptor).toEqual(image.descriptor);
    expect(await started.outcomes(image.layers)).toEqual(["streamed", "streamed"]);
    const asked = placed.registry.requests.map(({ path }) => path);
    expect(asked.filter((path) => path.includes(`/manifests/${digest}`))).toEqual([]);
  });

  test.each([
    { title: "are not those of the digest", manifests: async () => Buffer.from("{}") },
    {
      title: "cannot be read",
      manifests: async (): Promise<undefined> => {
        throw new Error("the store is down");
      },
    },
  ])("asks the registry when bytes $title, and says so", async ({ manifests }) => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await using started = await startPreparation(root.path, placed.name, {
      manifestDigest: image.descriptor.digest,
      manifests,
    });
    expect(await started.outcomes(image.layers)).toEqual(["streamed", "streamed"]);
    expect(started.records.filter(({ level }) => level === "warn").length).toBeGreaterThan(0);
  });

  test("remembers a manifest when all of its image is there", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(image);
    await using started = await startPreparation(root.path, placed.name);
    (await started.preparation.tree())[Symbol.dispose]();
    const memory = new ManifestMemory(cacheRootOf(root.path));
    expect(memory.read(image.descriptor.digest)).toEqual(new Uint8Array(image.manifest));
  });
});

describe("ImagePreparation.prefetch()", () => {
  const artifact = (...spans: readonly (readonly [number, number])[]): Uint8Array =>
    Buffer.from(
      JSON.stringify({
        version: "1.0",
        prefetch_spans: spans.map(([start_span, end_span]) => ({ start_span, end_span })),
      }),
    );

  test("tells the spans of the layers that have them, and leaves out what is of no use", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(three);
    const prefetch = new Map([
      [0, artifact([0, 9])],
      [1, Buffer.from("noise")],
      [2, artifact([7, 9])],
    ]);
    await addIndex(placed.registry, three, { prefetch });
    await using started = await startPreparation(root.path, placed.name);
    expect(await started.preparation.prefetch()).toEqual([
      { layer: digestAt(three, 0), ranges: [{ start: 0, end: 1 }] },
    ]);
    expect(started.records.filter(({ level }) => level === "warn")).toHaveLength(1);
  });

  test("is asked for by nobody who only wants layers", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(three);
    const bytes = artifact([0, 0]);
    await addIndex(placed.registry, three, { prefetch: new Map([[0, bytes]]) });
    await using started = await startPreparation(root.path, placed.name);
    await started.outcomes(three.layers);
    expect(blobsAsked(placed.registry.requests)).not.toContain(digestOf(bytes));
  });

  test("is empty for an image without an index", async () => {
    await using root = await tempDir();
    await using placed = await placeImage(three);
    await using started = await startPreparation(root.path, placed.name);
    expect(await started.preparation.prefetch()).toEqual([]);
  });
});

const isRoot = process.geteuid?.() === 0;

test.skipIf(!isRoot)(
  `ImagePreparation.layer() refuses what does not fit on a full disk, and no other${isRoot ? "" : " (needs root)"}`,
  async () => {
    const entries = Array.from({ length: 20_000 }, (_, i) => ({ name: `file-${i}`, content: "" }));
    const many = await buildImage({
      layers: [{ entries: [{ name: "a", content: "1" }] }, { entries }],
    });
    await using root = await tempDir();
    using _disk = smallDisk(root.path, 2 << 20);
    await using placed = await placeImage(many);
    await addIndex(placed.registry, many);
    await using started = await startPreparation(root.path, placed.name, { capBytes: 1 << 30 });
    expect(await started.outcomes(many.layers)).toEqual(["index", "no-room"]);
    expect(await rejectionOf(started.preparation.tree())).toMatchObject({
      kind: "failed-precondition",
    });
  },
);

async function damage(path: string): Promise<void> {
  const bytes = await Bun.file(path).bytes();
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  await Bun.write(path, bytes);
}
