import { constants, fstatSync, openSync } from "node:fs";
import { lstat, readdir, rename, rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { isErrno } from "../oci/fs-errors.ts";
import { ownProcess } from "../oci/process-id.ts";
import { isRecordLocked, type RecordRange, tryRecordLock } from "../sys/record-lock.ts";
import { closing } from "./cache-locks.ts";
import {
  ingestDirectory,
  layerDirectory,
  layerPaths,
  layersDirectory,
  treesDirectory,
} from "./cache-paths.ts";
import { pagesIn } from "./count-usage.ts";
import { NEVER_OPENED } from "./layer-draft.ts";
import { keyOfFileName, type LayerKey } from "./layer-key.ts";
import { LEASE_LOCK } from "./layer-locks.ts";
import { isSameFile } from "./is-same-file.ts";
import { TABLE_LOCK } from "./table-file.ts";
import { pagesOf } from "./usage-account.ts";

/** Something that could go: nobody seems to use it. */
export interface IdleFile {
  /** undefined: a tree. */
  readonly layer: LayerKey | undefined;
  readonly path: string;
  readonly lastUseMs: number;
}

/** A new layer is left alone so long, for who has made it and is about to open it. */
const FIRST_OPEN_MS = 60_000;

/** Layers and trees that nobody holds, the longest unused first. */
export async function listIdle(cacheRoot: string): Promise<IdleFile[]> {
  const idle: IdleFile[] = [];
  for (const key of await listLayers(cacheRoot)) {
    const path = layerDirectory(cacheRoot, key);
    const lastUseMs = await lastUseOf(layerPaths(path).lock, LEASE_LOCK);
    if (lastUseMs !== undefined) idle.push({ layer: key, path, lastUseMs });
  }
  for (const name of await readdir(treesDirectory(cacheRoot))) {
    const path = join(treesDirectory(cacheRoot), name);
    const lastUseMs = await lastUseOf(path, TABLE_LOCK);
    if (lastUseMs !== undefined) idle.push({ layer: undefined, path, lastUseMs });
  }
  return idle.sort((a, b) => a.lastUseMs - b.lastUseMs);
}

/** Names of all layers in a cache. */
export async function listLayers(cacheRoot: string): Promise<LayerKey[]> {
  const names = await readdir(layersDirectory(cacheRoot));
  return names.map(keyOfFileName).filter((key) => key !== undefined);
}

/** Removes it, unless somebody has begun to use it; how many pages that gives. */
export async function removeIdle(cacheRoot: string, { layer, path }: IdleFile): Promise<number> {
  const lockPath = layer === undefined ? path : layerPaths(path).lock;
  const aside = join(ingestDirectory(cacheRoot), `${await ownProcess()}.${randomUUID()}`);
  {
    using lock = openAlone(lockPath, layer === undefined ? TABLE_LOCK : LEASE_LOCK);
    if (lock === undefined) return 0;
    try {
      await rename(path, aside);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return 0;
      throw error;
    }
  }
  const pages =
    layer === undefined ? pagesOf((await lstat(aside)).blocks * 512) : await pagesIn(aside);
  await rm(aside, { recursive: true, force: true });
  return pages;
}

async function lastUseOf(path: string, range: RecordRange): Promise<number | undefined> {
  const fd = openIfThere(path);
  if (fd === undefined) return undefined;
  using _opened = closing(fd);
  // Only looked at: a lock taken here would keep others from opening it.
  if (isRecordLocked(fd, range)) return undefined;
  const { mtimeMs, ctimeMs } = fstatSync(fd);
  if (mtimeMs !== NEVER_OPENED) return mtimeMs;
  return Date.now() - ctimeMs < FIRST_OPEN_MS ? undefined : ctimeMs;
}

/** The file, locked against everybody; undefined when somebody uses it, or it is gone. */
function openAlone(path: string, range: RecordRange): Disposable | undefined {
  const fd = openIfThere(path);
  if (fd === undefined) return undefined;
  using opened = new DisposableStack();
  const held = opened.use(closing(fd));
  if (!tryRecordLock(fd, range, "exclusive") || !isSameFile(fd, path)) return undefined;
  opened.move();
  return held;
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EISDIR")) return undefined;
    throw error;
  }
}
