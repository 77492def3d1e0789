import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import type { WaitOptions } from "../../async/wait-options.ts";
import {
  cacheRootOf,
  layerDirectory,
  layerPaths,
  layersDirectory,
} from "../../cache/cache-paths.ts";
import { decodeDurableMap } from "../../cache/durable-map.ts";
import { LayerGeometry } from "../../cache/layer-geometry.ts";
import { keyOfFileName, type LayerKey, layerOfKey, ztocOfKey } from "../../cache/layer-key.ts";
import { isKind, SociError } from "../../errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { isErrno } from "../../oci/fs-errors.ts";
import type { SpanId } from "../../ztoc/zinfo.ts";
import type { Ztoc } from "../../ztoc/ztoc.ts";

export interface CachedSpansOptions extends WaitOptions {
  /** The state root. */
  readonly root: string;
  /** The zTOC's own digest. */
  readonly digest: Digest;
  readonly ztoc: Ztoc;
  /** The layer, where it is known: it may be in the cache whole, whatever zTOC it came by. */
  readonly layer: Digest | undefined;
}

/** Which spans of a layer are in the cache of this host. */
export interface CachedSpans {
  /** As the cache names it; undefined: it has nothing of the layer. */
  readonly layer: Digest | undefined;
  has(span: SpanId): boolean;
}

/** A layer as the cache has it under one name. */
interface CachedCopy {
  readonly geometry: LayerGeometry;
  /** 1 for each span that is there. */
  readonly presence: Uint8Array;
}

/**
 * Looks into the layer cache, changing nothing, and without a lock: what came in or went in the last
 * seconds may be shown as it was before. Undefined where there is no cache.
 * @throws permission-denied when it is another user's
 */
export async function findCachedSpans({
  root,
  digest,
  ztoc,
  layer,
  signal,
}: CachedSpansOptions): Promise<CachedSpans | undefined> {
  const cacheRoot = cacheRootOf(root);
  const names = await namesIn(layersDirectory(cacheRoot));
  if (names === undefined) return undefined;
  signal?.throwIfAborted();
  const keys = names.flatMap((name) => keyOfFileName(name) ?? []);
  const byZtoc = keys.filter((key) => ztocOfKey(key) === digest);
  const known = layer ?? byZtoc.map(layerOfKey)[0];
  const whole = keys.filter((key) => key === known);
  const copies = [...byZtoc, ...whole].flatMap((key) => readCopy(cacheRoot, key) ?? []);
  return {
    layer: copies.length === 0 ? undefined : known,
    has: (span) => {
      const { uncompressedStart, uncompressedEnd } = ztoc.zinfo.rangeOf(span, ztoc);
      return copies.some((copy) => hasRange(copy, uncompressedStart, uncompressedEnd));
    },
  };
}

async function namesIn(directory: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(directory);
  } catch (cause) {
    if (isErrno(cause, "ENOENT", "ENOTDIR")) return undefined;
    throw notReadable(directory, cause);
  }
}

/** Undefined for one that is being made or removed, or is damaged: whoever uses it deals with that. */
function readCopy(cacheRoot: string, key: LayerKey): CachedCopy | undefined {
  const paths = layerPaths(layerDirectory(cacheRoot, key));
  try {
    const geometry = readGeometry(paths.geometry);
    const { ino: inode } = statSync(paths.data, { bigint: true });
    const data = { inode, size: geometry.dataSize };
    const map = decodeDurableMap(readFileSync(paths.map), geometry, data);
    return map === undefined ? undefined : { geometry, presence: map.presence };
  } catch (cause) {
    if (isErrno(cause, "ENOENT", "ENOTDIR") || isKind(cause, "data-loss")) return undefined;
    throw notReadable(paths.directory, cause);
  }
}

function readGeometry(path: string): LayerGeometry {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    return LayerGeometry.read(fd, fstatSync(fd).size);
  } finally {
    closeSync(fd);
  }
}

/** Bytes [start, end) of the tar; the spans of the copy may be others. */
function hasRange({ geometry, presence }: CachedCopy, start: number, end: number): boolean {
  if (start >= end) return geometry.spanCount > 0 && presence.every((one) => one === 1);
  if (end > geometry.dataSize) return false;
  const last = geometry.spanOf(end - 1);
  for (let span = geometry.spanOf(start); span <= last; span++) {
    if (presence[span] !== 1 && geometry.uncompressedLength(span) > 0) return false;
  }
  return true;
}

function notReadable(path: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || cause instanceof SociError) return cause;
  const kind = isErrno(cause, "EACCES", "EPERM") ? "permission-denied" : "failed-precondition";
  return new SociError(kind, `Cannot look into the cache at "${path}"`, { cause });
}
