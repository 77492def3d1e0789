import { closeSync, constants, existsSync, fstatSync, openSync, utimesSync } from "node:fs";
import type { WaitOptions } from "../async/wait-options.ts";
import type { Logger } from "../observability/log.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { recordUnlock } from "../sys/record-lock.ts";
import { SociError, isKind } from "../errors.ts";
import { acquireRecordLock } from "./acquire-record-lock.ts";
import type { LayerPaths } from "./cache-paths.ts";
import { CachedLayer, type CachedLayerOptions } from "./cached-layer.ts";
import { isSameFile } from "./is-same-file.ts";
import { LayerGeometry } from "./layer-geometry.ts";
import { type LayerKey, layerOfKey } from "./layer-key.ts";
import { INIT_LOCK, LEASE_LOCK } from "./layer-locks.ts";
import { type LayerData, openLayerData, type OpenLayerDataOptions } from "./open-layer-data.ts";
import { checkTableSize } from "./table-file.ts";
import { syncStateOf } from "./unsynced-mark.ts";

const { O_RDWR, O_CREAT, O_RDONLY, O_NOFOLLOW } = constants;

export interface OpenLayerOptions
  extends WaitOptions, Pick<CachedLayerOptions, "onBacklog" | "onClose"> {
  readonly key: LayerKey;
  readonly paths: LayerPaths;
  readonly liveDirectory: string | undefined;
  readonly log: Logger;
  /** Is told that the layer's files are not on disk yet. */
  readonly onUnsynced: (directory: string) => void;
}

/**
 * Opens a layer directory and leases it. undefined: there is none. @throws data-loss when its tables
 * are damaged: then it must be made anew
 */
export async function openLayer(options: OpenLayerOptions): Promise<CachedLayer | undefined> {
  const { paths } = options;
  await using opened = new AsyncDisposableStack();
  const keep = (fd: number): number => {
    opened.defer(() => closeSync(fd));
    return fd;
  };
  const lockFd = await lease(paths, options);
  if (lockFd === undefined) return undefined;
  keep(lockFd);
  const geometryFd = keep(openPart(paths.geometry));
  const geometry = LayerGeometry.read(geometryFd, fstatSync(geometryFd).size);
  await checkParts(options);
  await acquireRecordLock(lockFd, INIT_LOCK, "exclusive", options);
  const data = openDataAlone(lockFd, { ...options, geometry });
  for (const fd of [data.dataFd, data.mapFd, data.liveFd]) keep(fd);
  if (data.lost !== undefined) {
    options.log.warn("cached data of a layer is lost", {
      layer: layerOfKey(options.key),
      reason: data.lost,
    });
  }
  const now = Date.now() / 1000;
  utimesSync(paths.lock, now, now);
  const layer = new CachedLayer({ ...options, geometry, geometryFd, lockFd, data });
  opened.move();
  return layer;
}

function openDataAlone(lockFd: number, options: OpenLayerDataOptions): LayerData {
  try {
    return openLayerData(options);
  } finally {
    recordUnlock(lockFd, INIT_LOCK);
  }
}

async function checkParts({ paths, onUnsynced }: OpenLayerOptions): Promise<void> {
  for (const path of [paths.entries, paths.inodes]) checkPart(path);
  const state = await syncStateOf(paths.directory);
  if (state === "unsafe") {
    throw new SociError(
      "data-loss",
      `Cannot use layer in "${paths.directory}": the machine stopped before it was on disk`,
    );
  }
  if (state === "unsynced") onUnsynced(paths.directory);
}

function checkPart(path: string): void {
  try {
    checkTableSize(path);
  } catch (cause) {
    if (!isKind(cause, "not-found")) throw cause;
    throw new SociError("data-loss", `Cannot use layer: "${path}" is gone`, { cause });
  }
}

function openPart(path: string): number {
  try {
    return openSync(path, O_RDONLY | O_NOFOLLOW);
  } catch (cause) {
    throw new SociError("data-loss", `Cannot use layer: "${path}" cannot be opened`, { cause });
  }
}

/** The lock file with a shared lease on it; undefined when there is no such directory. */
async function lease(paths: LayerPaths, options: WaitOptions): Promise<number | undefined> {
  for (;;) {
    // Layers are looked for under several names: an error of the system takes longer to make than this.
    const fd = existsSync(paths.directory) ? openLock(paths) : undefined;
    if (fd === undefined) return undefined;
    let isKept = false;
    try {
      await acquireRecordLock(fd, LEASE_LOCK, "shared", options);
      // Who had it alone may have taken the directory away meanwhile.
      isKept = isSameFile(fd, paths.lock);
      if (isKept) return fd;
    } finally {
      if (!isKept) closeSync(fd);
    }
  }
}

function openLock({ lock }: LayerPaths): number | undefined {
  try {
    return openSync(lock, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
