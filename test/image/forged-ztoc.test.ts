import { describe, expect, test } from "bun:test";
import { isOfWholeLayer } from "../../src/cache/layer-key.ts";
import { reopenImage } from "../../src/image/reopen-image.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { rejectionOf } from "../support/failure.ts";
import { buildLayer, imageOf } from "../support/image-builder.ts";
import { sampleBytes } from "../support/sample-bytes.ts";
import { tempDir } from "../support/temp-dir.ts";
import { addIndex } from "./add-index.ts";
import { forgeryOf, lowestOf, placeForged } from "./forged-image.ts";
import { type PlacedImage, placeImage } from "./opened-image.ts";
import { upper } from "./prepare-samples.ts";
import { prepare } from "./prepared-image.ts";

// What the images of tests have in common is their lowest layer. Of its bytes two registries say other
// things, each with a zTOC to prove it.

const shared = await buildLayer({
  compression: "none",
  entries: [{ name: "a", content: sampleBytes(400_000) }],
});
const good = imageOf([shared, upper]);
const other = imageOf([shared]);
const FORGED = forgeryOf(other);

async function placeGood(): Promise<PlacedImage> {
  const placed = await placeImage(good);
  await addIndex(placed.registry, good);
  return placed;
}

/** What these bytes of the layer are, in a word. */
function wordOf(data: Uint8Array): "true" | "forged" | "neither" {
  const isLike = (tar: Uint8Array) => Buffer.from(tar.subarray(0, data.length)).equals(data);
  if (data.length < 400_000) return "neither";
  return isLike(shared.tar) ? "true" : isLike(FORGED) ? "forged" : "neither";
}

async function lowestIn(root: string, { name }: PlacedImage): Promise<string> {
  await using prepared = await prepare(root, name);
  return wordOf(await lowestOf(prepared, name));
}

describe.each([
  { title: "another image", hostile: other },
  { title: "the same image elsewhere", hostile: good },
])("a forged zTOC of $title", ({ hostile }) => {
  test.each(["before", "after"])("is nothing to an image that comes %s", async (order) => {
    await using root = await tempDir();
    await using forged = await placeForged(hostile);
    await using honest = await placeGood();
    const found = [];
    const rounds = order === "before" ? [honest, forged] : [forged, honest];
    // Again out of the cache, by a process that knows of nothing.
    for (const placed of [...rounds, ...rounds]) found.push(await lowestIn(root.path, placed));
    const want = rounds.map((placed) => (placed === honest ? "true" : "forged"));
    expect(found).toEqual([...want, ...want]);
  });

  test("is nothing to an image that is open at the same time", async () => {
    await using root = await tempDir();
    await using forged = await placeForged(hostile);
    await using honest = await placeGood();
    await using first = await prepare(root.path, forged.name);
    await using second = await prepare(root.path, honest.name);
    const both = await Promise.all([lowestOf(first, forged.name), lowestOf(second, honest.name)]);
    expect(both.map(wordOf)).toEqual(["forged", "true"]);
    expect(first.treePath).not.toBe(second.treePath);
    const [one, two] = [first.layers[0]?.layer, second.layers[0]?.layer];
    expect(one?.digest).toBe(shared.descriptor.digest);
    expect(two?.digest).toBe(shared.descriptor.digest);
    expect(one?.key).not.toBe(two?.key);
    expect(one?.paths.data).not.toBe(two?.paths.data);
  });
});

describe("a layer that was read whole", () => {
  test("is used by all images, whatever their zTOCs say", async () => {
    await using root = await tempDir();
    await using plain = await placeImage(other);
    expect(await lowestIn(root.path, plain)).toBe("true");
    await using forged = await placeForged(other);
    await using prepared = await prepare(root.path, forged.name);
    const [lowest] = prepared.layers;
    expect(lowest?.from).toBe("cache");
    expect(lowest !== undefined && isOfWholeLayer(lowest.layer.key)).toBe(true);
    expect(wordOf(prepared.data(0) ?? new Uint8Array())).toBe("true");
  });

  test("is read whole although it came by a zTOC that vouches for another image", async () => {
    await using root = await tempDir();
    await using forged = await placeForged(other);
    expect(await lowestIn(root.path, forged)).toBe("forged");
    await using plain = await placeImage(good);
    await using prepared = await prepare(root.path, plain.name);
    expect(prepared.layers.map(({ from }) => from)).toEqual(["streamed", "streamed"]);
    expect(wordOf(prepared.data(0) ?? new Uint8Array())).toBe("true");
  });
});

describe("a layer that came by a zTOC", () => {
  test("is used by another image whose index has the same", async () => {
    await using root = await tempDir();
    await using first = await placeGood();
    expect(await lowestIn(root.path, first)).toBe("true");
    await using second = await placeImage(other);
    await addIndex(second.registry, other);
    await using prepared = await prepare(root.path, second.name);
    expect(prepared.layers.map(({ from }) => from)).toEqual(["cache"]);
    expect(wordOf(prepared.data(0) ?? new Uint8Array())).toBe("true");
  });

  test("is found again without a request, in an image that was asked for in the same way", async () => {
    await using root = await tempDir();
    await using placed = await placeGood();
    expect(await lowestIn(root.path, placed)).toBe("true");
    placed.registry.clearRequests();
    await using again = await prepare(root.path, placed.name);
    expect(again.layers.map(({ from }) => from)).toEqual(["cache", "cache"]);
    expect(placed.registry.requests.map(({ path }) => path)).toEqual(["/v2/app/manifests/v1"]);
  });

  test("is not used when another index is asked for", async () => {
    await using root = await tempDir();
    await using forged = await placeForged(other);
    expect(await lowestIn(root.path, forged)).toBe("forged");
    const bytes = await addIndex(forged.registry, other);
    const index = { digest: digestOf(bytes) };
    {
      await using prepared = await prepare(root.path, forged.name, { index });
      expect(prepared.layers.map(({ from }) => from)).toEqual(["index"]);
      // Which the registry has no bytes for.
      expect(await rejectionOf(lowestOf(prepared, forged.name))).toMatchObject({
        kind: "data-loss",
      });
    }
    await using again = await prepare(root.path, forged.name, { index });
    expect(again.layers.map(({ from }) => from)).toEqual(["cache"]);
    expect(again.data(0)).toBeUndefined();
  });

  test("is opened again by its name in the cache, and by no other", async () => {
    await using root = await tempDir();
    await using placed = await placeGood();
    await using prepared = await prepare(root.path, placed.name);
    const { cache, treeKey } = prepared;
    const layers = prepared.layers.map(({ descriptor, layer }) => {
      return { ...descriptor, cacheKey: layer.key };
    });
    await using reopened = await reopenImage({ cache, treeKey, layers });
    expect(reopened.layers.map(({ layer }) => layer.key)).toEqual(
      layers.map(({ cacheKey }) => cacheKey),
    );
    const byDigest = layers.map((layer) => ({ ...layer, cacheKey: layer.digest }));
    expect(await rejectionOf(reopenImage({ cache, treeKey, layers: byDigest }))).toMatchObject({
      kind: "not-found",
    });
  });
});
