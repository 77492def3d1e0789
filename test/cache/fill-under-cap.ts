// A program: reads a cached layer at random places, and fills what is missing if there is room for it.
import { readFileSync } from "node:fs";
import { LayerReader, MISS } from "../../src/cache/layer-reader.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import { opened } from "./samples.ts";
import { chanceOf, fillIfFree, openStrictCache } from "./shared-layer.ts";

const [root = "", hex = "", capBytes = "0", seed = "1", rounds = "1000"] = process.argv.slice(2);
const tar = readFileSync(`${root}/tar`);
await using cache = await openStrictCache(root, Number(capBytes));
await using layer = await opened(cache, parseDigest(`sha256:${hex}`));
const { geometry } = layer;
const chance = chanceOf(Number(seed));
const reader = new LayerReader(layer.files);
const bytes = new Uint8Array(tar.length);
let filled = 0;
let refused = 0;
for (let round = 0; round < Number(rounds); round++) {
  const span = chance(geometry.spanCount);
  const start = geometry.uncompressedStart(span);
  const end = geometry.uncompressedEnd(span);
  let count = reader.read(start, end, bytes, 0);
  if (count === MISS) {
    using space = await cache.reserve(end - start, "demand");
    if (space === undefined) {
      refused++;
      await Bun.sleep(20);
      continue;
    }
    if (fillIfFree(layer, span, tar)) {
      space.keep();
      filled++;
    }
    count = reader.read(start, end, bytes, 0);
  }
  if (count > 0 && Buffer.compare(bytes.subarray(0, count), tar.subarray(start, end)) !== 0) {
    throw new Error(`wrong bytes in span ${span}`);
  }
  if (count < MISS) throw new Error(`damaged: ${JSON.stringify(reader.damaged)}`);
}
process.stdout.write(JSON.stringify({ filled, refused }));
