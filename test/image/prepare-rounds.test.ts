import { expect, test } from "bun:test";
import { digestOf } from "../../src/oci/digest.ts";
import { INDEX_DIGEST_ANNOTATION } from "../../src/soci/annotations.ts";
import { countRounds } from "../bench/count-rounds.ts";
import { RequestRecorder } from "../bench/request-recorder.ts";
import { addImage, buildImage, buildIndex, imageOf } from "../support/image-builder.ts";
import { LatencyProxy } from "../support/latency-proxy.ts";
import { TestRegistry } from "../support/registry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { addIndex } from "./add-index.ts";
import { placeImage } from "./opened-image.ts";
import { prepare } from "./prepared-image.ts";
import { type StartOptions, startPreparation } from "./started-preparation.ts";

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

const NEAR: readonly {
  readonly title: string;
  readonly version: "v1" | "v2" | undefined;
  readonly options: StartOptions;
  readonly rounds: number;
}[] = [
  { title: "one with a v1 index", version: "v1", options: {}, rounds: 3 },
  { title: "one with a v2 index", version: "v2", options: {}, rounds: 2 },
  { title: "one without an index", version: undefined, options: {}, rounds: 2 },
  {
    title: "one without an index that is refused",
    version: undefined,
    options: { onMissingIndex: "refuse" },
    rounds: 1,
  },
  { title: "one that is read whole", version: "v1", options: { wholeOnly: true }, rounds: 1 },
];

test.each(NEAR)(
  "ImagePreparation takes $rounds round trips for $title when the manifest is near",
  async ({ version, options, rounds }) => {
    await using root = await tempDir();
    await using registry = TestRegistry.start();
    let what = image;
    if (version === "v2") {
      const index = digestOf(await addIndex(registry, image, { version }));
      what = imageOf(image.layers, { annotations: { [INDEX_DIGEST_ANNOTATION]: index } });
    }
    await addImage(registry, "app", { image: what, tag: "v1" });
    if (version === "v1") await addIndex(registry, what);
    await using proxy = await LatencyProxy.start({ target: registry.host, delayMs: 30 });
    await using recorder = await RequestRecorder.start(proxy.host);
    const { digest } = what.descriptor;
    await using started = await startPreparation(root.path, `${recorder.host}/app@${digest}`, {
      manifestDigest: digest,
      manifests: async (wanted) => (wanted === digest ? what.manifest : undefined),
      ...options,
    });
    await started.outcomes(what.layers);
    expect(countRounds(recorder.take())).toBe(rounds);
  },
);
