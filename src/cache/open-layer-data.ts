import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { isErrno } from "../oci/fs-errors.ts";
import { bootId, NO_BOOT } from "./boot-id.ts";
import type { LayerPaths } from "./cache-paths.ts";
import { crcTableLength } from "./crc-blocks.ts";
import {
  type DataIdentity,
  decodeDurableMap,
  decodeMapEpoch,
  type DurableMap,
  encodeDurableMap,
  MAP_HEADER_BYTES,
} from "./durable-map.ts";
import { fileNameOfKey, type LayerKey } from "./layer-key.ts";
import type { LayerGeometry } from "./layer-geometry.ts";
import {
  lastUseTick,
  encodeLiveMap,
  isLiveMap,
  LIVE_HEADER_BYTES,
  type LiveIdentity,
  liveMapBytes,
} from "./live-map.ts";
import { replaceFile, writeAllAt } from "./new-file.ts";

const { O_RDWR, O_NOFOLLOW } = constants;

export interface OpenLayerDataOptions {
  readonly key: LayerKey;
  readonly paths: LayerPaths;
  readonly geometry: LayerGeometry;
  /** In shared memory; undefined: live maps lie beside the data. */
  readonly liveDirectory: string | undefined;
}

/** Descriptors of a layer's data and of both its maps, which speak about each other. */
export interface LayerData {
  readonly dataFd: number;
  readonly mapFd: number;
  readonly liveFd: number;
  /** What the durable map says. */
  readonly durable: DurableMap;
  /** Why it begins empty although there were files, or undefined. */
  readonly lost: string | undefined;
}

/**
 * Opens a layer's data and maps, making what is missing or does not fit: whatever state they were
 * left in, what comes out is one in which present means written. For who holds the layer's init lock.
 */
export function openLayerData(options: OpenLayerDataOptions): LayerData {
  const { paths, geometry } = options;
  const fds: number[] = [];
  try {
    let { dataFd, durable, lost } = openKnown(paths, geometry, fds);
    if (dataFd === undefined || durable === undefined) {
      dataFd = newData(paths, geometry, fds);
      durable = emptyMap(geometry);
      fds.push(writeMap(paths, geometry, identityOf(dataFd, geometry), durable));
    } else {
      fds.push(openSync(paths.map, O_RDWR | O_NOFOLLOW));
    }
    const mapFd = fds.at(-1) ?? -1;
    const liveFd = openLive(options, durable);
    return { dataFd, mapFd, liveFd, durable, lost };
  } catch (error) {
    for (const fd of fds) closeSync(fd);
    throw error;
  }
}

/**
 * Opens a layer's data and maps as those have them who use it, without making anything; undefined
 * when they do not fit together now.
 */
export function findLayerData(
  options: OpenLayerDataOptions,
): Pick<LayerData, "dataFd" | "mapFd" | "liveFd"> | undefined {
  const { paths, geometry } = options;
  const fds: number[] = [];
  const keep = (fd: number): number => {
    fds.push(fd);
    return fd;
  };
  try {
    const dataFd = openIfThere(paths.data);
    if (dataFd === undefined) return undefined;
    keep(dataFd);
    const mapFd = openIfThere(paths.map);
    if (mapFd === undefined) return undefined;
    keep(mapFd);
    const header = new Uint8Array(MAP_HEADER_BYTES);
    if (readSync(mapFd, header, 0, header.length, 0) !== header.length) return undefined;
    const epoch = decodeMapEpoch(header, geometry, identityOf(dataFd, geometry));
    const liveFd = epoch === undefined ? undefined : findLive(options, epoch);
    if (liveFd === undefined) return undefined;
    fds.length = 0;
    return { dataFd, mapFd, liveFd };
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** Makes the data file anew: sparse, of its full size. */
function createDataFile(path: string, geometry: LayerGeometry): number {
  return replaceFile(path, (fd) => ftruncateSync(fd, geometry.dataSize));
}

/** Writes a durable map for the data file; returns its descriptor. */
export function writeMap(
  paths: LayerPaths,
  geometry: LayerGeometry,
  data: DataIdentity,
  map: DurableMap,
): number {
  return replaceFile(paths.map, (fd) => writeAllAt(fd, encodeDurableMap(geometry, data, map)));
}

export function identityOf(dataFd: number, geometry: LayerGeometry): DataIdentity {
  return { inode: fstatSync(dataFd, { bigint: true }).ino, size: geometry.dataSize };
}

/** A map of which nothing is present, with an epoch of its own. */
export function emptyMap({ spanCount, dataSize }: LayerGeometry): DurableMap {
  const lot = randomBytes(8);
  return {
    epoch: [lot.readUInt32LE(0), lot.readUInt32LE(4)],
    presence: new Uint8Array(spanCount),
    crcs: new Uint32Array(crcTableLength(spanCount, dataSize)),
  };
}

interface Known {
  dataFd: number | undefined;
  durable: DurableMap | undefined;
  lost: string | undefined;
}

function openKnown(paths: LayerPaths, geometry: LayerGeometry, fds: number[]): Known {
  const dataFd = openIfThere(paths.data);
  if (dataFd === undefined) return { dataFd, durable: undefined, lost: "the data file is gone" };
  fds.push(dataFd);
  const found = fstatSync(dataFd);
  if (!found.isFile())
    return { dataFd: undefined, durable: undefined, lost: "the data is no file" };
  // Cut by somebody: what is lost of it shows by its CRCs.
  if (found.size !== geometry.dataSize) ftruncateSync(dataFd, geometry.dataSize);
  const bytes = readIfThere(paths.map);
  if (bytes === undefined) return { dataFd, durable: undefined, lost: "the map is gone" };
  const durable = decodeDurableMap(bytes, geometry, identityOf(dataFd, geometry));
  const lost = durable === undefined ? "the map is damaged, or of other data" : undefined;
  return { dataFd, durable, lost };
}

function newData(paths: LayerPaths, geometry: LayerGeometry, fds: number[]): number {
  const fd = createDataFile(paths.data, geometry);
  fds.push(fd);
  return fd;
}

/** The live map in shared memory or beside the data, opened or made; its descriptor. */
function openLive(options: OpenLayerDataOptions, durable: DurableMap): number {
  const { geometry, paths } = options;
  const { epoch } = durable;
  const found = findLive(options, epoch);
  if (found !== undefined) return found;
  const inMemory = pathInMemory(options);
  if (inMemory !== undefined) {
    try {
      return createLive(inMemory, geometry, { epoch, boot: NO_BOOT }, durable);
    } catch (error) {
      if (!isErrno(error, "ENOSPC", "EDQUOT", "ENOENT", "EROFS", "EACCES", "EPERM")) throw error;
    }
  }
  return createLive(paths.live, geometry, { epoch, boot: bootId() }, durable);
}

function findLive(options: OpenLayerDataOptions, epoch: LiveIdentity["epoch"]): number | undefined {
  const { geometry, paths } = options;
  const inMemory = pathInMemory(options);
  const found =
    inMemory === undefined ? undefined : openLiveAt(inMemory, geometry, { epoch, boot: NO_BOOT });
  return found ?? openLiveAt(paths.live, geometry, { epoch, boot: bootId() });
}

/** Where a layer's live map may be. */
export function livePaths(options: Omit<OpenLayerDataOptions, "geometry">): readonly string[] {
  const inMemory = pathInMemory(options);
  return inMemory === undefined ? [options.paths.live] : [inMemory, options.paths.live];
}

function pathInMemory({
  key,
  liveDirectory,
}: Pick<OpenLayerDataOptions, "key" | "liveDirectory">): string | undefined {
  return liveDirectory === undefined ? undefined : join(liveDirectory, fileNameOfKey(key));
}

function openLiveAt(
  path: string,
  geometry: LayerGeometry,
  identity: LiveIdentity,
): number | undefined {
  const fd = openIfThere(path);
  if (fd === undefined) return undefined;
  const header = Buffer.alloc(LIVE_HEADER_BYTES);
  if (
    fstatSync(fd).size === liveMapBytes(geometry) &&
    readSync(fd, header, 0, header.length, 0) === header.length &&
    isLiveMap(header, geometry, identity)
  ) {
    return fd;
  }
  closeSync(fd);
  return undefined;
}

function createLive(
  path: string,
  geometry: LayerGeometry,
  identity: LiveIdentity,
  { presence, crcs }: DurableMap,
): number {
  const now = lastUseTick();
  const bytes = encodeLiveMap(geometry, { ...identity, presence, crcs, now });
  // Written, not cut to size: memory mapped over a hole needs room when it is written to, or kills us.
  return replaceFile(path, (fd) => writeAllAt(fd, bytes));
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, O_RDWR | O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    // A link that somebody planted, or a directory: it goes, a file takes its place.
    if (!isErrno(error, "ELOOP", "EISDIR")) throw error;
    rmSync(path, { recursive: true });
    return undefined;
  }
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
