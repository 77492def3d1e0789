import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import type { CachedLayer } from "../../src/cache/cached-layer.ts";
import { durableMapPlaces } from "../../src/cache/durable-map.ts";
import { writeAllAt } from "../../src/cache/new-file.ts";
import { persistSpans } from "../../src/cache/persist-spans.ts";
import { tempDir } from "../support/temp-dir.ts";
import { fill, layerSample } from "./samples.ts";
import { openStrictCache } from "./shared-layer.ts";

test("persistSpans() leaves to others what they have filled meanwhile", async () => {
  await using dir = await tempDir();
  const { digest, parts, tar } = layerSample();
  await using cache = await openStrictCache(dir.path);
  await using layer = await cache.createLayer(digest, parts);
  const { live } = layer.files;
  const { mapFd, lockFd, dataFd, presence } = openMap(layer);
  const persist = () => persistSpans({ live, dataFd, mapFd, lockFd, spans: [0, 1] });
  try {
    fill(layer, 1, tar);
    // It looks, and waits for the data to be synced; another process fills span 0, and says so.
    const persisting = persist();
    fill(layer, 0, tar);
    writeAllAt(mapFd, Uint8Array.of(1), presence);
    await persisting;
    expect(readPresence(layer)).toEqual([1, 1]);
    live.empty(0, Atomics.load(live.words, 0));
    await persist();
    expect(readPresence(layer)).toEqual([0, 1]);
  } finally {
    for (const fd of [mapFd, lockFd, dataFd]) closeSync(fd);
  }
});

function openMap({ paths, geometry }: CachedLayer) {
  const [mapFd, lockFd, dataFd] = [paths.map, paths.lock, paths.data].map((path) =>
    openSync(path, "r+"),
  ) as [number, number, number]; // as many as there are paths
  return { mapFd, lockFd, dataFd, ...durableMapPlaces(geometry) };
}

function readPresence({ paths, geometry }: CachedLayer): number[] {
  const { presence } = durableMapPlaces(geometry);
  return [...readFileSync(paths.map).subarray(presence, presence + 2)];
}
