import type { Platform } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { JsonObject, parseJson } from "./json-document.ts";
import { parseDigestText, parsePlatformObject } from "./parse-descriptor.ts";

/** What we use of an image's config. https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md */
export interface ImageConfig {
  readonly platform: Platform;
  /** Digests of the uncompressed layers, bottom first; empty for an artifact that has none. */
  readonly diffIds: readonly Digest[];
}

const MAX_LAYERS = 4096;

/** Parses an image's config; `what` names it in errors. @throws data-loss or unsupported */
export function parseImageConfig(bytes: Uint8Array, what = "image config"): ImageConfig {
  const json = new JsonObject(parseJson(bytes, what), what);
  const rootfs = json.optionalObject("rootfs");
  const diffIds = rootfs?.optionalStrings("diff_ids", MAX_LAYERS) ?? [];
  return {
    platform: parsePlatformObject(json),
    diffIds: diffIds.map((text, index) => parseDigestText(text, json, `rootfs.diff_ids[${index}]`)),
  };
}
