import { expect, test } from "bun:test";
import { countRounds } from "../bench/count-rounds.ts";
import { RequestRecorder } from "../bench/request-recorder.ts";
import { buildImage, buildIndex } from "../support/image-builder.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { tempDir } from "../support/temp-dir.ts";
import { addIndex } from "./add-index.ts";
import { placeImage } from "./opened-image.ts";
import { prepare } from "./prepared-image.ts";

const image = await buildImage({
  layers: Array.from({ length: 12 }, (_, i) => ({
    entries: [{ name: `file-${i}`, content: "x".repeat(100_000) }],
  })),
});
const both = buildIndex([{ image, platform: { os: "linux", architecture: "amd64" } }]);

test.each([
  { title: "an indexed image", what: image, only: undefined, rounds: 4 },
  // The index of platforms costs one, and takes none: referrers are asked for beside the manifest.
  { title: "an indexed image of several platforms", what: both, only: undefined, rounds: 4 },
  // Layers are fetched beside the zTOCs.
  { title: "an image of which some layers are indexed", what: image, only: [0, 3, 5], rounds: 4 },
  { title: "an image without an index", what: image, only: [], rounds: 3 },
])("prepareImage() takes $rounds round trips for $title", async ({ what, only, rounds }) => {
  await using root = await tempDir();
  await using placed = await placeImage(what);
  if (only?.length !== 0) {
    await addIndex(placed.registry, image, only === undefined ? {} : { only });
  }
  await using proxy = await LatencyProxy.start({ target: placed.registry.host, delayMs: 30 });
  await using recorder = await RequestRecorder.start(proxy.host);
  const name = placed.name.replace(placed.registry.host, recorder.host);
  await using first = await prepare(root.path, name);
  expect(countRounds(recorder.take())).toBe(rounds);
  expect(first.names()).toHaveLength(12);
});
