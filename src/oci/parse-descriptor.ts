import { SociError } from "../errors.ts";
import type { Descriptor, Platform } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { isDigest } from "./digest.ts";
import type { JsonObject } from "./json-document.ts";

const MAX_URLS = 64;
const MAX_OS_FEATURES = 64;
const OTHER_DIGEST = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;

/** Reads a descriptor, every field's type checked. @throws data-loss, or unsupported for a digest that is not sha256 */
export function parseDescriptor(json: JsonObject): Descriptor {
  const urls = json.optionalStrings("urls", MAX_URLS);
  const annotations = json.optionalStringMap("annotations");
  const data = json.optionalString("data");
  const platform = json.optionalObject("platform");
  const artifactType = json.optionalString("artifactType");
  return {
    mediaType: json.string("mediaType"),
    digest: parseDigestField(json, "digest"),
    size: json.size("size"),
    ...(urls === undefined ? {} : { urls }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(data === undefined ? {} : { data }),
    ...(platform === undefined ? {} : { platform: parsePlatformObject(platform) }),
    ...(artifactType === undefined ? {} : { artifactType }),
  };
}

/** Reads the `platform` object of a descriptor. @throws data-loss */
export function parsePlatformObject(json: JsonObject): Platform {
  const version = json.optionalString("os.version");
  const features = json.optionalStrings("os.features", MAX_OS_FEATURES);
  const variant = json.optionalString("variant");
  return {
    architecture: json.optionalString("architecture") ?? "",
    os: json.optionalString("os") ?? "",
    ...(version === undefined ? {} : { "os.version": version }),
    ...(features === undefined ? {} : { "os.features": features }),
    ...(variant === undefined ? {} : { variant }),
  };
}

/** Reads a digest out of a document that others wrote. @throws data-loss or unsupported */
export function parseDigestField(json: JsonObject, key: string): Digest {
  return parseDigestText(json.string(key), json, json.pathOf(key));
}

/** As parseDigestField(), for text that stands in an array. */
export function parseDigestText(text: string, json: JsonObject, path: string): Digest {
  if (isDigest(text)) {
    return text;
  }
  const shown = JSON.stringify(text.slice(0, 100));
  if (OTHER_DIGEST.test(text) && !text.startsWith("sha256:")) {
    throw new SociError("unsupported", `Cannot use ${json.what}: ${path} is ${shown}, want sha256`);
  }
  throw new SociError(
    "data-loss",
    `Cannot parse ${json.what}: ${path} is ${shown}, want sha256:<64 hex digits>`,
  );
}
