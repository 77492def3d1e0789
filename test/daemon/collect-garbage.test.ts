import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { truncate } from "node:fs/promises";
import { leaseTable } from "../../src/cache/table-file.ts";
import { collectGarbage } from "../../src/daemon/collect-garbage.ts";
import { ManifestMemory } from "../../src/image/manifest-memory.ts";
import { ZtocMemory } from "../../src/image/ztoc-memory.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { ALL_MODES } from "../../src/soci/discover.ts";
import { openStrictCache } from "../cache/shared-layer.ts";
import { tempDir } from "../support/temp-dir.ts";
import { BOTTOM, TOP } from "./lazy-setup.ts";
import { writeTree } from "./write-tree.ts";

const NONE = { layers: new Set<never>(), manifests: new Set<never>() };

async function setup() {
  await using resources = new AsyncDisposableStack();
  const dir = resources.use(await tempDir());
  const cache = resources.use(await openStrictCache(dir.path));
  const owned = resources.move();
  return { cache, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

describe("collectGarbage()", () => {
  test("removes trees of which a layer is not held any more, and no others", async () => {
    await using all = await setup();
    const { cache } = all;
    const lower = writeTree(cache.root, [BOTTOM.digest]);
    const both = writeTree(cache.root, [BOTTOM.digest, TOP.digest]);
    const layers = new Set([BOTTOM.digest]);
    expect(await collectGarbage({ ...NONE, cache, layers })).toBe(1);
    expect([existsSync(lower), existsSync(both)]).toEqual([true, false]);
    expect(await collectGarbage({ ...NONE, cache })).toBe(1);
    expect(existsSync(lower)).toBe(false);
  });

  test("leaves a tree that is in use", async () => {
    await using all = await setup();
    const { cache } = all;
    const path = writeTree(cache.root, [TOP.digest]);
    {
      using _lease = leaseTable(path);
      expect(await collectGarbage({ ...NONE, cache })).toBe(0);
      expect(existsSync(path)).toBe(true);
    }
    expect(await collectGarbage({ ...NONE, cache })).toBe(1);
  });

  test("removes a tree that is damaged, whoever holds its layers", async () => {
    await using all = await setup();
    const { cache } = all;
    const path = writeTree(cache.root, [TOP.digest]);
    await truncate(path, 20);
    await collectGarbage({ ...NONE, cache, layers: new Set([TOP.digest]) });
    expect(existsSync(path)).toBe(false);
  });

  test("removes manifests of images that no snapshot came with", async () => {
    await using all = await setup();
    const { cache } = all;
    const memory = new ManifestMemory(cache.root);
    const [kept, gone] = [Buffer.from("kept"), Buffer.from("gone")];
    for (const bytes of [kept, gone]) await memory.keep(digestOf(bytes), bytes);
    const manifests = new Set([digestOf(kept)]);
    expect(await collectGarbage({ ...NONE, cache, manifests })).toBe(1);
    expect(memory.read(digestOf(kept))).toBeDefined();
    expect(memory.read(digestOf(gone))).toBeUndefined();
  });

  test("removes what is known of zTOCs with the manifest that they are of", async () => {
    await using all = await setup();
    const { cache } = all;
    const memory = new ZtocMemory({
      cacheRoot: cache.root,
      sourceName: "registry.example/app:1",
      index: undefined,
      modes: ALL_MODES,
    });
    const [kept, gone] = [digestOf("kept"), digestOf("gone")];
    const ztocs = new Map([[TOP.digest, digestOf("zTOC")]]);
    for (const manifest of [kept, gone]) await memory.keep(manifest, ztocs);
    expect(await collectGarbage({ ...NONE, cache, manifests: new Set([kept]) })).toBe(1);
    expect(memory.read(kept)).toEqual(ztocs);
    expect(memory.read(gone).size).toBe(0);
  });

  test("keeps layers, for the next pull", async () => {
    await using all = await setup();
    const { cache } = all;
    await (await cache.createLayer(TOP.digest, TOP.parts))[Symbol.asyncDispose]();
    await collectGarbage({ ...NONE, cache });
    await using layer = await cache.openLayer(TOP.digest);
    expect(layer?.digest).toBe(TOP.digest);
  });
});
