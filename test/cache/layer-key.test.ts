import { describe, expect, test } from "bun:test";
import {
  fileNameOfKey,
  isLayerKey,
  isOfWholeLayer,
  keyByZtoc,
  keyOfFileName,
  layerOfKey,
  ztocOfKey,
} from "../../src/cache/layer-key.ts";
import { digestOf, hexOf } from "../../src/oci/digest.ts";

const LAYER = digestOf("layer");
const ZTOC = digestOf("zTOC");

describe("LayerKey", () => {
  test("of a layer that was read whole is its digest", () => {
    expect(isLayerKey(LAYER)).toBe(true);
    expect(isOfWholeLayer(LAYER)).toBe(true);
    expect(layerOfKey(LAYER)).toBe(LAYER);
    expect(ztocOfKey(LAYER)).toBeUndefined();
    expect(fileNameOfKey(LAYER)).toBe(hexOf(LAYER));
    expect(keyOfFileName(hexOf(LAYER))).toBe(LAYER);
  });

  test("of one that came by a zTOC names both", () => {
    const key = keyByZtoc(LAYER, ZTOC);
    expect(isLayerKey(key)).toBe(true);
    expect(isOfWholeLayer(key)).toBe(false);
    expect(layerOfKey(key)).toBe(LAYER);
    expect(ztocOfKey(key)).toBe(ZTOC);
    expect(fileNameOfKey(key)).toBe(`${hexOf(LAYER)}-${hexOf(ZTOC)}`);
    expect(keyOfFileName(fileNameOfKey(key))).toBe(key);
    expect(new Set([key, keyByZtoc(ZTOC, LAYER), keyByZtoc(LAYER, LAYER)]).size).toBe(3);
  });

  test.each([
    "",
    "sha256:",
    hexOf(LAYER),
    `${LAYER}-`,
    `${LAYER}-${ZTOC}`,
    `${LAYER}/${hexOf(ZTOC)}`,
    `${LAYER}-${hexOf(ZTOC)}-${hexOf(ZTOC)}`,
    `${LAYER}-${hexOf(ZTOC).toUpperCase()}`,
    `${LAYER}-${hexOf(ZTOC)}\n`,
    `${LAYER}\n`,
  ])("is not %j", (text) => {
    expect(isLayerKey(text)).toBe(false);
    expect(keyOfFileName(text)).toBe(text === hexOf(LAYER) ? LAYER : undefined);
  });
});
