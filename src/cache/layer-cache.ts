import { mkdirSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { WaitOptions } from "../async/wait-options.ts";
import { isKind, SociError } from "../errors.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { ownProcess } from "../oci/process-id.ts";
import { BackgroundWork } from "./background-work.ts";
import {
  cacheRootOf,
  ingestDirectory,
  layerDirectory,
  layerPaths,
  layersDirectory,
  treesDirectory,
} from "./cache-paths.ts";
import type { CachedLayer } from "./cached-layer.ts";
import { tryClaimIngest } from "./claim-ingest.ts";
import { createLayer } from "./create-layer.ts";
import { defaultMountCap } from "./default-cap.ts";
import type { Eviction, SpaceCause } from "./eviction.ts";
import type { LayerParts } from "./layer-draft.ts";
import { listIdle, removeIdle } from "./idle-files.ts";
import { fileNameOfKey, type LayerKey, layerOfKey } from "./layer-key.ts";
import { openLiveDirectory, sweepLiveDirectories } from "./live-directory.ts";
import { openLayer } from "./open-layer.ts";
import { RoomMaker } from "./room-maker.ts";
import type { SpaceReservation } from "./space-reservation.ts";
import { sweepIngest } from "./sweep-ingest.ts";
import { systemFailure } from "./system-failure.ts";
import { syncLayer } from "./unsynced-mark.ts";
import { PAGE_BYTES, UsageAccount } from "./usage-account.ts";

export interface LayerCacheOptions {
  /** The state root; the cache is the directory "cache" in it. */
  readonly root: string;
  /** Most bytes that all layers may take on disk together; by default as for ad hoc mounts. */
  readonly capBytes?: number | undefined;
  /** Told of each thing that is evicted, for metrics. */
  readonly onEviction?: ((eviction: Eviction) => void) | undefined;
  readonly log: Logger;
  /** Where live maps go; by default /dev/shm. */
  readonly sharedMemory?: string | undefined;
}

const TICK_MS = 5000;

/**
 * The layers of one state root, shared by all processes that use it. Layers are opened, and stay as
 * long as somebody has them open. Disposing flushes; layers must have been closed before.
 */
export class LayerCache implements AsyncDisposable {
  /** The cache's own directory. */
  readonly root: string;
  readonly capBytes: number;
  readonly #log: Logger;
  readonly #liveDirectory: string | undefined;
  readonly #background: BackgroundWork;
  readonly #open = new Set<CachedLayer>();
  /** Layers that are about to be flushed. */
  readonly #waiting = new Set<CachedLayer>();
  /** Directories of new layers, which wait: syncing them at once would slow down the mount that made them. */
  readonly #unsynced = new Set<string>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #account: UsageAccount;
  readonly #room: RoomMaker;
  #isOpen = true;

  private constructor(
    options: LayerCacheOptions,
    liveDirectory: string | undefined,
    account: UsageAccount,
  ) {
    const { log, onEviction } = options;
    this.root = cacheRootOf(options.root);
    this.capBytes = options.capBytes ?? defaultMountCap(this.root);
    this.#log = log;
    this.#liveDirectory = liveDirectory;
    this.#account = account;
    this.#room = new RoomMaker({
      cacheRoot: this.root,
      liveDirectory,
      capBytes: this.capBytes,
      account,
      log,
      onEviction,
    });
    this.#background = new BackgroundWork(log);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** @throws failed-precondition */
  static async open(options: LayerCacheOptions): Promise<LayerCache> {
    const root = cacheRootOf(options.root);
    try {
      for (const make of [ingestDirectory, layersDirectory, treesDirectory]) {
        mkdirSync(make(root), { recursive: true, mode: 0o700 });
      }
      const liveDirectory = openLiveDirectory(root, options.sharedMemory);
      const account = await UsageAccount.open(root, liveDirectory);
      const cache = new LayerCache(options, liveDirectory, account);
      cache.#background.add("sweep", () => cache.#sweep());
      return cache;
    } catch (error) {
      throw systemFailure(`open the cache "${root}"`, error);
    }
  }

  /** Opens a layer; undefined when it is not here, or was damaged and had to be taken away. */
  async openLayer(key: LayerKey, { signal }: WaitOptions = {}): Promise<CachedLayer | undefined> {
    try {
      const layer = await openLayer({
        key,
        signal,
        paths: layerPaths(layerDirectory(this.root, key)),
        liveDirectory: this.#liveDirectory,
        log: this.#log,
        onBacklog: (full) => this.#flushLater(full),
        onClose: (closed) => this.#open.delete(closed),
        onUnsynced: (directory) => this.#unsynced.add(directory),
      });
      if (layer !== undefined) this.#open.add(layer);
      return layer;
    } catch (error) {
      if (!isKind(error, "data-loss")) {
        throw systemFailure(`open layer ${layerOfKey(key)} in the cache "${this.root}"`, error);
      }
      this.#log.warn("layer in the cache is damaged and is removed", {
        layer: layerOfKey(key),
        reason: error.message,
      });
      await this.removeLayer(key);
      return undefined;
    }
  }

  /** Makes a layer of which no data is there yet, unless it is here, and opens it. @throws data-loss */
  async createLayer(
    key: LayerKey,
    parts: LayerParts,
    options: WaitOptions = {},
  ): Promise<CachedLayer> {
    await createLayer(this.root, key, parts);
    const layer = await this.openLayer(key, options);
    if (layer !== undefined) return layer;
    throw new SociError(
      "unavailable",
      `Cannot open layer ${layerOfKey(key)}: it has just been removed`,
    );
  }

  /** The right to read a layer whole into the cache; undefined: somebody else is at it. */
  claimIngest(digest: Digest): Disposable | undefined {
    return tryClaimIngest(this.root, digest);
  }

  /** Takes a layer away; who has it open keeps it until it is closed. */
  async removeLayer(key: LayerKey): Promise<void> {
    const aside = join(ingestDirectory(this.root), `${await ownProcess()}.${randomUUID()}`);
    await mkdir(ingestDirectory(this.root), { recursive: true, mode: 0o700 });
    try {
      await rename(layerDirectory(this.root, key), aside);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return;
      throw error;
    }
    if (this.#liveDirectory !== undefined) {
      await rm(join(this.#liveDirectory, fileNameOfKey(key)), { force: true });
    }
    await rm(aside, { recursive: true, force: true });
  }

  /**
   * Removes trees, and manifests that are remembered beside them, which nobody has open and `isKept`
   * does not want, by their paths. They can be made again. Resolves to how many went.
   */
  async removeIdleTrees(isKept: (path: string) => boolean): Promise<number> {
    let count = 0;
    for (const idle of await listIdle(this.root)) {
      if (idle.layer !== undefined || isKept(idle.path)) continue;
      const pages = await removeIdle(this.root, idle);
      this.#account.free(pages);
      if (pages > 0) count++;
    }
    return count;
  }

  /**
   * Room on disk for bytes that are about to be written; undefined when there is none. Only demand may
   * cost layers in use some of their spans, and background work makes nothing go.
   */
  async reserve(
    bytes: number,
    cause: SpaceCause,
    options: WaitOptions = {},
  ): Promise<SpaceReservation | undefined> {
    return await this.#room.reserve(bytes, cause, options);
  }

  /** The same as far as it is known by now, without a look at the disk. */
  get knownUsedBytes(): number {
    return this.#account.usedPages * PAGE_BYTES;
  }

  /** Bytes on disk, with what is reserved, of all processes together. */
  async usedBytes(options: WaitOptions = {}): Promise<number> {
    return await this.#room.usedBytes(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearInterval(this.#timer);
    // What was made a moment ago would be thrown away after the next boot.
    for (const directory of this.#unsynced) {
      this.#background.add("sync", () => this.#sync(directory));
    }
    await this.#background[Symbol.asyncDispose]();
    this.#room[Symbol.dispose]();
    this.#account[Symbol.dispose]();
  }

  async #sweep(): Promise<void> {
    await sweepIngest(this.root);
    if (this.#liveDirectory !== undefined) sweepLiveDirectories(this.#liveDirectory);
  }

  /** Every few seconds: what has come in becomes durable, and new layers are brought to disk. */
  #tick(): void {
    for (const layer of this.#open) this.#flushLater(layer);
    for (const directory of this.#unsynced) {
      this.#background.add("sync", () => this.#sync(directory));
    }
  }

  async #sync(directory: string): Promise<void> {
    if (!this.#unsynced.has(directory)) return;
    await syncLayer(directory);
    this.#unsynced.delete(directory);
  }

  #flushLater(layer: CachedLayer): void {
    if (this.#waiting.has(layer)) return;
    this.#waiting.add(layer);
    this.#background.add("flush", async () => {
      this.#waiting.delete(layer);
      if (this.#open.has(layer)) await layer.flush();
    });
  }
}
