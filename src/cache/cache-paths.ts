import { join } from "node:path";
import { fileNameOfKey, type LayerKey } from "./layer-key.ts";

/** Below the state root. */
export function cacheRootOf(stateRoot: string): string {
  return join(stateRoot, "cache");
}

/** Where unfinished layers and files are made, named by the process that makes them. */
export function ingestDirectory(cacheRoot: string): string {
  return join(cacheRoot, "ingest");
}

export function layersDirectory(cacheRoot: string): string {
  return join(cacheRoot, "sha256");
}

export function treesDirectory(cacheRoot: string): string {
  return join(cacheRoot, "trees");
}

export function layerDirectory(cacheRoot: string, key: LayerKey): string {
  return join(layersDirectory(cacheRoot), fileNameOfKey(key));
}

/** The files of one layer. */
export interface LayerPaths {
  readonly directory: string;
  /** Spans, their digests, the windows of their checkpoints; never changes. */
  readonly geometry: string;
  /** Table files, whose content is the tree's affair; never change. */
  readonly entries: string;
  readonly inodes: string;
  /** The uncompressed tar, sparse. */
  readonly data: string;
  /** What of it is there and safely on disk. */
  readonly map: string;
  /** Empty: its bytes are locks (layer-locks.ts). Its mtime is when the layer was last opened or closed. */
  readonly lock: string;
  /** The live map, where memory has no place for it. */
  readonly live: string;
}

export function layerPaths(directory: string): LayerPaths {
  return {
    directory,
    geometry: join(directory, "geometry"),
    entries: join(directory, "entries"),
    inodes: join(directory, "inodes"),
    data: join(directory, "data"),
    map: join(directory, "map"),
    lock: join(directory, "lock"),
    live: join(directory, "live"),
  };
}
