import type { LayerKey } from "../cache/layer-key.ts";
import { SociError } from "../errors.ts";
import type { FuseNegotiated } from "../fuse/init.ts";
import type { IdMap, IdMappings } from "../lazyfs/id-map.ts";
import type { MountFeatures } from "../lazyfs/mount-features.ts";
import { MAX_TABLES } from "../lazyfs/node-id.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { JsonObject, parseJson } from "../oci/json-document.ts";
import { parseDescriptor } from "../oci/parse-descriptor.ts";
import { cacheKeyOf } from "./cache-key-of.ts";
import { negotiatedOf } from "./negotiated-json.ts";
import { MOUNT_TYPES, type MountType } from "./unmount-image.ts";

/**
 * All that a process must know, beside the cache, to go on serving a mount that shows chains: INIT
 * comes once, and the numbers of the tables are in every node id that the kernel has.
 */
export interface ChainRecord {
  readonly directory: string;
  readonly type: MountType;
  /** As stat(2) shows it: `0:52`. */
  readonly device: string;
  readonly negotiated: FuseNegotiated;
  readonly features: MountFeatures;
  readonly ids: IdMappings | undefined;
  /** Of the directory of chains; what comes next must be later. */
  readonly mtimeMs: number;
  readonly layers: readonly RecordedLayer[];
  readonly chains: readonly RecordedChain[];
}

export interface RecordedLayer {
  readonly table: number;
  /** Its name in the cache. */
  readonly cacheKey: LayerKey;
  readonly descriptor: Pick<Descriptor, "mediaType" | "digest" | "size">;
}

export interface RecordedChain {
  readonly treeKey: string;
  readonly table: number;
  /** Tables of its layers, bottom first. */
  readonly layers: readonly number[];
}

export const CHAIN_RECORD = "chains";
/** Raised when a later version could not serve what an earlier one mounted. */
const VERSION = 2;
const MAX_CHAINS = 65_536;
const MAX_LAYERS = 1 << 20;
const MAX_ID_MAPS = 1024;
const TREE_KEY = /^[0-9a-f]{16,128}$/;

/** Whether it can name a tree, and a directory. */
export function isTreeKey(text: string): boolean {
  return TREE_KEY.test(text);
}

export function encodeChainRecord({ ids, ...record }: ChainRecord): Uint8Array {
  const layers = record.layers.map(
    ({ table, cacheKey, descriptor: { mediaType, digest, size } }) => {
      return { table, cacheKey, mediaType, digest, size };
    },
  );
  const chains = record.chains.map((chain) => ({ ...chain, layers: chain.layers.map(String) }));
  const { uids, gids } = ids ?? {};
  const { xattrs, acls } = record.features;
  const features = [...(xattrs ? ["xattrs"] : []), ...(acls ? ["acls"] : [])];
  const json = { version: VERSION, kind: CHAIN_RECORD, ...record, features, layers, chains };
  return Buffer.from(`${JSON.stringify({ ...json, uids, gids })}\n`);
}

/** @throws data-loss; unsupported for a record of a version or kind that is not ours */
export function decodeChainRecord(bytes: Uint8Array, what: string): ChainRecord {
  const json = new JsonObject(parseJson(bytes, what, { maxBytes: 64 << 20 }), what);
  const version = json.size("version");
  const kind = json.optionalString("kind");
  if (version !== VERSION || kind !== CHAIN_RECORD) {
    throw new SociError(
      "unsupported",
      `Cannot use ${what}: it is ${kind ?? "image"} ${version}, want ${CHAIN_RECORD} ${VERSION}`,
    );
  }
  const type = MOUNT_TYPES.find((known) => known === json.string("type"));
  if (type === undefined) throw unusable(what, "type is none of ours");
  const features = json.optionalStrings("features", 2) ?? [];
  const uids = idMapsOf(json, "uids");
  const gids = idMapsOf(json, "gids");
  return {
    directory: json.string("directory"),
    type,
    device: json.string("device"),
    negotiated: negotiatedOf(json.object("negotiated")),
    features: { xattrs: features.includes("xattrs"), acls: features.includes("acls") },
    ids: uids === undefined || gids === undefined ? undefined : { uids, gids },
    mtimeMs: json.size("mtimeMs"),
    ...tablesOf(json, what),
  };
}

function tablesOf(json: JsonObject, what: string): Pick<ChainRecord, "layers" | "chains"> {
  const layers = (json.optionalObjects("layers", MAX_LAYERS) ?? []).map((layer) => {
    const { mediaType, digest, size } = parseDescriptor(layer);
    const cacheKey = cacheKeyOf(layer, digest, what);
    return { table: layer.size("table"), cacheKey, descriptor: { mediaType, digest, size } };
  });
  const known = new Set(layers.map(({ table }) => table));
  const chains = (json.optionalObjects("chains", MAX_CHAINS) ?? []).map((chain) => {
    const treeKey = chain.string("treeKey");
    if (!isTreeKey(treeKey)) throw unusable(what, "treeKey is no name of a tree");
    const numbers = (chain.optionalStrings("layers", MAX_LAYERS) ?? []).map(Number);
    if (!numbers.every((number) => known.has(number))) {
      throw unusable(what, `chain ${treeKey} has layers that it does not name`);
    }
    return { treeKey, table: chain.size("table"), layers: numbers };
  });
  const tables = [...layers, ...chains].map(({ table }) => table);
  if (tables.some((table) => table < 1 || table >= MAX_TABLES)) {
    throw unusable(what, "a table's number is out of range");
  }
  if (new Set(tables).size !== tables.length) throw unusable(what, "two tables have one number");
  return { layers, chains };
}

function idMapsOf(json: JsonObject, key: string): readonly IdMap[] | undefined {
  return json.optionalObjects(key, MAX_ID_MAPS)?.map((map) => ({
    containerId: map.size("containerId"),
    hostId: map.size("hostId"),
    length: map.size("length"),
  }));
}

function unusable(what: string, fault: string): SociError {
  return new SociError("data-loss", `Cannot use ${what}: ${fault}`);
}
