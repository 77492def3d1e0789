import { SociError } from "../errors.ts";
import type { FuseNegotiated } from "../fuse/init.ts";
import type { LayerToReopen } from "../image/reopen-image.ts";
import { JsonObject, parseJson } from "../oci/json-document.ts";
import { parseDescriptor } from "../oci/parse-descriptor.ts";
import { cacheKeyOf } from "./cache-key-of.ts";
import { negotiatedOf } from "./negotiated-json.ts";

/**
 * All that a process must know, beside the cache, to go on serving a mount: INIT comes once, and the
 * numbers of the tables, which are in every node id, follow from the order of the layers.
 */
export interface MountRecord {
  readonly directory: string;
  /** As stat(2) shows it: `0:52`. */
  readonly device: string;
  readonly negotiated: FuseNegotiated;
  /** Of the image, bottom first. */
  readonly layers: readonly LayerToReopen[];
  readonly treeKey: string;
}

/** Raised when a later version could not serve what an earlier one mounted. */
const VERSION = 2;
const MAX_LAYERS = 65_536;
const TREE_KEY = /^[0-9a-f]{16,128}$/;

export function encodeMountRecord(record: MountRecord): Uint8Array {
  const layers = record.layers.map(({ mediaType, digest, size, cacheKey }) => {
    return { mediaType, digest, size, cacheKey };
  });
  return Buffer.from(`${JSON.stringify({ version: VERSION, ...record, layers })}\n`);
}

/** @throws data-loss; unsupported for a record of a version that is not ours */
export function decodeMountRecord(bytes: Uint8Array, what: string): MountRecord {
  const json = new JsonObject(parseJson(bytes, what, { maxBytes: 64 << 20 }), what);
  const version = json.size("version");
  if (version !== VERSION) {
    throw new SociError(
      "unsupported",
      `Cannot use ${what}: version is ${version}, want ${VERSION}`,
    );
  }
  const kind = json.optionalString("kind");
  if (kind !== undefined) {
    throw new SociError("unsupported", `Cannot use ${what}: it is of ${kind}, want an image's`);
  }
  const treeKey = json.string("treeKey");
  if (!TREE_KEY.test(treeKey)) {
    throw new SociError("data-loss", `Cannot use ${what}: treeKey is no name of a tree`);
  }
  return {
    directory: json.string("directory"),
    device: json.string("device"),
    treeKey,
    layers: (json.optionalObjects("layers", MAX_LAYERS) ?? []).map((layer) => {
      const { mediaType, digest, size } = parseDescriptor(layer);
      return { mediaType, digest, size, cacheKey: cacheKeyOf(layer, digest, what) };
    }),
    negotiated: negotiatedOf(json.object("negotiated")),
  };
}
