import { type Digest, hexOf, isDigest } from "../oci/digest.ts";

declare const byZtocBrand: unique symbol;

/** `sha256:`, the layer's hex digits, `-`, those of its zTOC. */
type ZtocKey = string & { readonly [byZtocBrand]: true };

/**
 * Names a layer in the cache by all that makes its bytes true. One that was read whole, and verified, is
 * named by its digest, and is good for every image that has it. One that came by a zTOC is only as true
 * as that: it is named by both, and good for images alone whose SOCI index has that zTOC.
 */
export type LayerKey = Digest | ZtocKey;

const ZTOC_KEY = /^(sha256:[0-9a-f]{64})-[0-9a-f]{64}$/;

/** Of a layer that came by a zTOC. */
export function keyByZtoc(layer: Digest, ztoc: Digest): LayerKey {
  return `${layer}-${hexOf(ztoc)}` as ZtocKey;
}

/** Whether `text` is a name of a layer in the cache. */
export function isLayerKey(text: string): text is LayerKey {
  return isDigest(text) || ZTOC_KEY.test(text);
}

/** Whether a layer of this name was read whole, and its digest verified. */
export function isOfWholeLayer(key: LayerKey): key is Digest {
  return isDigest(key);
}

/** The digest of the layer itself. */
export function layerOfKey(key: LayerKey): Digest {
  if (isDigest(key)) return key;
  const layer = ZTOC_KEY.exec(key)?.[1] ?? "";
  if (!isDigest(layer)) throw new Error(`"${key}" is no name of a layer`);
  return layer;
}

/** The zTOC that it came by; undefined for one that was read whole. */
export function ztocOfKey(key: LayerKey): Digest | undefined {
  if (isDigest(key)) return undefined;
  const ztoc = `sha256:${key.slice(-64)}`;
  if (!isDigest(ztoc)) throw new Error(`"${key}" is no name of a layer`);
  return ztoc;
}

/** The name of its directory, and of its live map. */
export function fileNameOfKey(key: LayerKey): string {
  return key.slice("sha256:".length);
}

/** The key that a directory is named by; undefined for one that is no layer's. */
export function keyOfFileName(name: string): LayerKey | undefined {
  const key = `sha256:${name}`;
  return isLayerKey(key) ? key : undefined;
}
