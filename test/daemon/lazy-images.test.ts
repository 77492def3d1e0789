import { describe, expect, test } from "bun:test";
import { chainIds } from "../../src/containerd/chain-ids.ts";
import { SociError } from "../../src/errors.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { rejectionOf } from "../support/failure.ts";
import { BOTTOM, type LazySetup, lazySetup, requestOf, STACK, TOP } from "./lazy-setup.ts";

const DIFF_IDS = [digestOf("bottom"), digestOf("top")];
const [CHAIN_OF_BOTTOM = "", CHAIN = ""] = chainIds(DIFF_IDS);

/** An image of two layers, both in the cache. */
async function imageSetup(): Promise<LazySetup> {
  const setup = await lazySetup();
  for (const sample of [BOTTOM, TOP]) await setup.put(sample);
  setup.preparations.diffIds = async () => DIFF_IDS;
  return setup;
}

describe("LazyLayers.prepareImage()", () => {
  test("answers with all layers of the image", async () => {
    await using setup = await imageSetup();
    const answer = await setup.lazy.prepareImage(requestOf(TOP), { target: CHAIN });
    expect(answer).toEqual({ kind: "served", layers: STACK, isWhole: false, hasIndex: true });
  });

  test("refuses another name than that of all layers: it is another image's", async () => {
    await using setup = await imageSetup();
    // As containerd asks for the lowest layer when its descriptor in the manifest has our label.
    const answer = await setup.lazy.prepareImage(requestOf(BOTTOM), { target: CHAIN_OF_BOTTOM });
    expect(answer).toMatchObject({
      kind: "refused",
      reason: "data",
      detail: expect.stringContaining(CHAIN),
    });
    expect(setup.events).toContain("refused data");
  });

  test.each([
    { title: "fewer diff IDs than layers", diffIds: DIFF_IDS.slice(1) },
    { title: "more", diffIds: [...DIFF_IDS, digestOf("more")] },
    { title: "none", diffIds: [] },
  ])("refuses an image whose config has $title", async ({ diffIds }) => {
    await using setup = await imageSetup();
    setup.preparations.diffIds = async () => diffIds;
    const target = chainIds(diffIds).at(-1) ?? "";
    expect(await setup.lazy.prepareImage(requestOf(TOP), { target })).toMatchObject({
      kind: "refused",
    });
  });

  test("refuses an image whose config cannot be had", async () => {
    await using setup = await imageSetup();
    setup.preparations.diffIds = async () => {
      throw new SociError("unavailable", "registry is down");
    };
    expect(await setup.lazy.prepareImage(requestOf(TOP), { target: CHAIN })).toMatchObject({
      kind: "refused",
      reason: "registry",
      detail: "registry is down",
    });
  });

  test("refuses an image of which a layer is refused", async () => {
    await using setup = await imageSetup();
    const { layer } = setup.preparations;
    setup.preparations.layer = async (digest, options) =>
      digest === BOTTOM.digest
        ? { kind: "refused", reason: "no-ztoc", detail: "none" }
        : await layer(digest, options);
    expect(await setup.lazy.prepareImage(requestOf(TOP), { target: CHAIN })).toMatchObject({
      kind: "refused",
      reason: "no-ztoc",
    });
  });

  test("throws the reason of a caller who gives up", async () => {
    await using setup = await imageSetup();
    setup.preparations.layer = () => new Promise(() => undefined);
    const giveUp = new AbortController();
    const { signal } = giveUp;
    const asked = setup.lazy.prepareImage(requestOf(TOP), { target: CHAIN, signal });
    giveUp.abort(new Error("given up"));
    expect(await rejectionOf(asked)).toMatchObject({ message: "given up" });
  });
});
