// A program: fills and evicts spans of a cached layer, in a process that a test may kill.
import { readFileSync } from "node:fs";
import { parseDigest } from "../../src/oci/digest.ts";
import { LayerReader } from "../../src/cache/layer-reader.ts";
import { opened } from "./samples.ts";
import { chanceOf, evictSome, fillIfFree, openStrictCache } from "./shared-layer.ts";

const [root = "", hex = "", seed = "1", rounds = "1000"] = process.argv.slice(2);
const tar = readFileSync(`${root}/tar`);
await using cache = await openStrictCache(root);
const digest = parseDigest(`sha256:${hex}`);
await using layer = await opened(cache, digest);
const chance = chanceOf(Number(seed));
const reader = new LayerReader(layer.files);
const bytes = new Uint8Array(tar.length);
process.stdout.write("ready\n");
for (let round = 0; round < Number(rounds); round++) {
  fillIfFree(layer, chance(layer.geometry.spanCount), tar);
  const start = chance(tar.length - 1);
  const end = Math.min(tar.length, start + 1 + chance(100_000));
  const count = reader.read(start, end, bytes, 0);
  if (count < -1) throw new Error(`damaged: ${JSON.stringify(reader.damaged)}`);
  if (count > 0 && Buffer.compare(bytes.subarray(0, count), tar.subarray(start, end)) !== 0) {
    throw new Error(`wrong bytes at ${start}`);
  }
  if (chance(12) === 0) await evictSome(cache.root, digest, () => chance(3) === 0);
  if (chance(20) === 0) await layer.flush();
}
process.stdout.write("done\n");
