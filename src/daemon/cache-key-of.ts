import { isLayerKey, type LayerKey, layerOfKey } from "../cache/layer-key.ts";
import { SociError } from "../errors.ts";
import type { Digest } from "../oci/digest.ts";
import type { JsonObject } from "../oci/json-document.ts";

/** The name in the cache of the layer that a record describes. @throws data-loss when it is none, or another layer's */
export function cacheKeyOf(json: JsonObject, layer: Digest, what: string): LayerKey {
  const key = json.string("cacheKey");
  if (isLayerKey(key) && layerOfKey(key) === layer) return key;
  throw new SociError("data-loss", `Cannot use ${what}: cacheKey is no name of layer ${layer}`);
}
