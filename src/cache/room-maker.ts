import { closeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Semaphore } from "../async/semaphore.ts";
import type { WaitOptions } from "../async/wait-options.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import { recordUnlock } from "../sys/record-lock.ts";
import { acquireRecordLock } from "./acquire-record-lock.ts";
import { openCacheLock, ROOM_LOCK } from "./cache-locks.ts";
import { layerDirectory, layerPaths } from "./cache-paths.ts";
import { countUsage } from "./count-usage.ts";
import { type Eviction, type SpaceCause, spaceRuleOf } from "./eviction.ts";
import { listIdle, listLayers, removeIdle } from "./idle-files.ts";
import { fileNameOfKey, layerOfKey } from "./layer-key.ts";
import { type EvictionUnit, LayerInUse } from "./layer-in-use.ts";
import { ageMs, lastUseTick } from "./live-map.ts";
import { SpaceReservation } from "./space-reservation.ts";
import { PAGE_BYTES, pagesOf, type UsageAccount } from "./usage-account.ts";

export interface RoomMakerOptions {
  readonly cacheRoot: string;
  readonly liveDirectory: string | undefined;
  readonly capBytes: number;
  readonly account: UsageAccount;
  readonly log: Logger;
  /** Told of each thing that was evicted, for metrics. */
  readonly onEviction?: ((eviction: Eviction) => void) | undefined;
}

/** A count older than this is made anew before anything is promised, resp. removed. */
const COUNT_MS = 60_000;
const COUNT_BEFORE_EVICTION_MS = 2000;
/** How long another process may count or evict before we do without room. */
const PATIENCE_MS = 5000;
/** Spans that were used so lately are left alone: their readers are still at it. */
const YOUNG_MS = 256;
/** Room made beyond what is wanted, so that not every span costs an eviction: part of the cap, and at most. */
const SLACK_PART = 1 / 32;
const SLACK_BYTES = 64 << 20;
/** More than what several fillers have under way. */
const STRAY_BYTES = 64 << 20;

/**
 * Keeps all layers of a cache below the cap, together with the other processes that use it: who wants
 * to fill reserves, and what has been unused for longest goes for it.
 */
export class RoomMaker implements Disposable {
  readonly #options: RoomMakerOptions;
  readonly #lockFd: number;
  readonly #turn = new Semaphore(1);
  #hasWarned = false;
  #canPunch = true;

  constructor(options: RoomMakerOptions) {
    this.#options = options;
    this.#lockFd = openCacheLock(options.cacheRoot);
  }

  /** undefined: there is no room, and none can be made for this cause. */
  async reserve(
    bytes: number,
    cause: SpaceCause,
    { signal }: WaitOptions = {},
  ): Promise<SpaceReservation | undefined> {
    const { account, capBytes } = this.#options;
    const pages = pagesOf(bytes);
    const rule = spaceRuleOf(cause);
    const limit = Math.floor((capBytes * rule.part) / PAGE_BYTES);
    if (pages > limit) return undefined;
    if (!this.#isCountOlder(COUNT_MS) && account.tryReserve(pages, limit)) {
      return new SpaceReservation(account, pages);
    }
    using _turn = await this.#turn.acquire({ signal });
    const isReserved = await this.#alone(async () => {
      if (this.#isCountOlder(COUNT_BEFORE_EVICTION_MS)) await this.#count();
      if (account.tryReserve(pages, limit)) return true;
      if (rule.evictsLayers && (await this.#evictIdle(pages, limit))) return true;
      return rule.evictsSpans && this.#canPunch && (await this.#evictSpans(pages, limit));
    }, signal);
    return isReserved === true ? new SpaceReservation(account, pages) : undefined;
  }

  /** Bytes in use by all processes, reservations included, counted anew if that was long ago. */
  async usedBytes(options: WaitOptions = {}): Promise<number> {
    using _turn = await this.#turn.acquire(options);
    if (this.#isCountOlder(COUNT_BEFORE_EVICTION_MS)) {
      await this.#alone(() => this.#count(), options.signal);
    }
    return this.#options.account.usedPages * PAGE_BYTES;
  }

  [Symbol.dispose](): void {
    closeSync(this.#lockFd);
  }

  /**
   * Against other processes too: what one counts the other must not remove. undefined when another
   * is at it for too long, as one that was stopped is.
   */
  async #alone<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
    const patience = AbortSignal.timeout(PATIENCE_MS);
    const either = signal === undefined ? patience : AbortSignal.any([signal, patience]);
    try {
      await acquireRecordLock(this.#lockFd, ROOM_LOCK, "exclusive", { signal: either });
    } catch (error) {
      if (patience.aborted && error === patience.reason) return undefined;
      throw error;
    }
    try {
      return await work();
    } finally {
      recordUnlock(this.#lockFd, ROOM_LOCK);
    }
  }

  async #count(): Promise<void> {
    const { account, cacheRoot } = this.#options;
    await account.recount(() => countUsage(cacheRoot));
  }

  #isCountOlder(ms: number): boolean {
    const { countedAt } = this.#options.account;
    return countedAt === 0 || ageMs(lastUseTick(), countedAt) > ms;
  }

  /** Layers and trees that nobody uses, until there is room. */
  async #evictIdle(pages: number, limit: number): Promise<boolean> {
    const { account, cacheRoot, liveDirectory, log, onEviction } = this.#options;
    for (const idle of await listIdle(cacheRoot)) {
      const freed = await removeIdle(cacheRoot, idle);
      account.free(freed);
      if (idle.layer !== undefined && freed > 0) {
        if (liveDirectory !== undefined) {
          await rm(join(liveDirectory, fileNameOfKey(idle.layer)), { force: true });
        }
        const eviction = {
          layer: layerOfKey(idle.layer),
          bytes: freed * PAGE_BYTES,
          spans: undefined,
        };
        log.info("unused layer evicted from the cache", eviction);
        onEviction?.(eviction);
      }
      if (account.tryReserve(pages, limit)) return true;
    }
    return false;
  }

  /** Spans of layers that are in use, those that were read longest ago. */
  async #evictSpans(pages: number, limit: number): Promise<boolean> {
    const { account, cacheRoot, liveDirectory } = this.#options;
    using opened = new DisposableStack();
    const layers: LayerInUse[] = [];
    for (const key of await listLayers(cacheRoot)) {
      const paths = layerPaths(layerDirectory(cacheRoot, key));
      const layer = LayerInUse.open({ key, paths, liveDirectory });
      if (layer !== undefined) layers.push(opened.use(layer));
    }
    this.#punchStray(layers);
    const slack = pagesOf(Math.min(SLACK_BYTES, this.#options.capBytes * SLACK_PART));
    const wanted = account.usedPages + pages + slack - limit;
    for (const [layer, units] of chooseOldest(layers, wanted * PAGE_BYTES)) {
      const { bytes, spans } = await layer.evict(units);
      account.free(Math.floor(bytes / PAGE_BYTES));
      if (spans === 0) continue;
      if (bytes === 0) {
        this.#giveUpSpans(layer.digest);
        break;
      }
      this.#warnOnce(layer.digest);
      this.#options.onEviction?.({ layer: layer.digest, bytes, spans });
    }
    return account.tryReserve(pages, limit);
  }

  #punchStray(layers: readonly LayerInUse[]): void {
    for (const layer of layers) {
      if (layer.strayPages * PAGE_BYTES > STRAY_BYTES) {
        this.#options.account.free(layer.punchStray());
      }
    }
  }

  #giveUpSpans(layer: Digest): void {
    this.#canPunch = false;
    this.#options.log.warn("file system gives no room back: the cache keeps what is mounted", {
      layer,
    });
  }

  #warnOnce(layer: Digest): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.#options.log.warn(
      "cache is too small for what is mounted: parts of it are fetched again",
      {
        capBytes: this.#options.capBytes,
        layer,
      },
    );
  }
}

/** The units that were used longest ago, of `bytes` together where there are so many. */
function chooseOldest(
  layers: readonly LayerInUse[],
  bytes: number,
): ReadonlyMap<LayerInUse, readonly EvictionUnit[]> {
  const now = lastUseTick();
  const all: { readonly layer: LayerInUse; readonly unit: EvictionUnit }[] = [];
  for (const layer of layers) {
    for (const unit of layer.units(now)) {
      if (unit.ageMs >= YOUNG_MS) all.push({ layer, unit });
    }
  }
  all.sort((a, b) => b.unit.ageMs - a.unit.ageMs);
  const chosen = new Map<LayerInUse, EvictionUnit[]>();
  let sum = 0;
  for (const { layer, unit } of all) {
    if (sum >= bytes) break;
    sum += unit.bytes;
    const units = chosen.get(layer);
    if (units === undefined) chosen.set(layer, [unit]);
    else units.push(unit);
  }
  return chosen;
}
