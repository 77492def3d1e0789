import { closeSync, futimesSync, rmSync } from "node:fs";
import type { WaitOptions } from "../async/wait-options.ts";
import { SingleFlight } from "../async/single-flight.ts";
import type { Logger } from "../observability/log.ts";
import type { Digest } from "../oci/digest.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, sysFallocate } from "../sys/libc.ts";
import { recordUnlock, tryRecordLock } from "../sys/record-lock.ts";
import type { LayerPaths } from "./cache-paths.ts";
import { findDamage } from "./find-damage.ts";
import { LayerFiles, type LayerHandle } from "./layer-files.ts";
import { type LayerKey, layerOfKey } from "./layer-key.ts";
import type { LayerGeometry } from "./layer-geometry.ts";
import { isSameFile } from "./is-same-file.ts";
import { LEASE_LOCK, spanLock } from "./layer-locks.ts";
import { lastUseTick, PRESENT } from "./live-map.ts";
import { type LayerData, livePaths } from "./open-layer-data.ts";
import { persistSpans } from "./persist-spans.ts";
import type { SpanClaim } from "./span-claim.ts";
import { mapTable } from "./table-file.ts";

export interface CachedLayerOptions {
  readonly key: LayerKey;
  readonly paths: LayerPaths;
  readonly geometry: LayerGeometry;
  readonly geometryFd: number;
  /** Of the lock file, with the lease on it. */
  readonly lockFd: number;
  readonly data: LayerData;
  readonly liveDirectory: string | undefined;
  readonly log: Logger;
  /** Much has come in since the last flush. */
  readonly onBacklog: (layer: CachedLayer) => void;
  readonly onClose: (layer: CachedLayer) => void;
}

/** Bytes that a power cut may cost before they are made durable out of turn. */
const BACKLOG_BYTES = 64 << 20;

/**
 * A layer of the cache, opened by one process: it cannot be removed while this is open. Filling:
 * claim() a span, write it with a SpanWriter in any thread, mark it present. Everything here works on
 * maps that all processes with the layer open share.
 */
export class CachedLayer implements AsyncDisposable {
  /** Of the layer itself: what came by another zTOC has the same. */
  readonly digest: Digest;
  /** Its name in the cache. */
  readonly key: LayerKey;
  readonly paths: LayerPaths;
  readonly geometry: LayerGeometry;
  /** Of the thread that opened the layer. */
  readonly files: LayerFiles;
  /** For other threads: see LayerHandle. */
  readonly handle: LayerHandle;
  readonly #options: CachedLayerOptions;
  readonly #claimed = new Set<number>();
  /** Spans whose durable presence may not be what the live one is. */
  readonly #unsaved = new Set<number>();
  readonly #flights = new SingleFlight<"flush", void>();
  #unsavedBytes = 0;
  #isDamageKnown = false;
  #isClosed = false;
  #closing: Promise<void> | undefined;

  constructor(options: CachedLayerOptions) {
    const { key, geometry, geometryFd, data } = options;
    const digest = layerOfKey(key);
    this.#options = options;
    this.digest = digest;
    this.key = key;
    this.paths = options.paths;
    this.geometry = geometry;
    this.handle = {
      digest,
      geometry: geometry.buffer,
      geometryFd,
      dataFd: data.dataFd,
      liveFd: data.liveFd,
    };
    this.files = LayerFiles.open(this.handle);
    this.#adoptUnsaved();
  }

  isPresent(span: number): boolean {
    return this.files.live.isPresent(span) || this.geometry.uncompressedLength(span) === 0;
  }

  /** Whether every span is present. */
  get isComplete(): boolean {
    for (let span = 0; span < this.geometry.spanCount; span++) {
      if (!this.isPresent(span)) return false;
    }
    return true;
  }

  /** Uncompressed bytes that are present. */
  get presentBytes(): number {
    return this.files.live.presentBytes();
  }

  /** The table of inodes, mapped and checked. @throws data-loss */
  inodes(): Uint8Array {
    return mapTable(this.paths.inodes);
  }

  /** The rows of which the layer's tree can be built again, mapped and checked. @throws data-loss */
  entries(): Uint8Array {
    return mapTable(this.paths.entries);
  }

  /** "busy": another process, or another claim of this one, is filling it: look again soon. */
  claim(span: number): SpanClaim | "present" | "busy" {
    return this.#claim(span, span + 1);
  }

  /** The same for all spans at once; "present" when they all are. */
  claimAll(): SpanClaim | "present" | "busy" {
    return this.#claim(0, this.geometry.spanCount);
  }

  /**
   * Takes a span out of the cache if it really is damaged, so that it is fetched again; whether it was.
   * The first time it says in the log what was found.
   */
  damage(span: number): boolean {
    if (this.#isClosed) return false;
    const { live } = this.files;
    const word = Atomics.load(live.words, span);
    const found = (word & PRESENT) === 0 ? undefined : findDamage(this.files, span);
    // Read by others as damaged, it may have been filled again since.
    if (found === undefined || !live.empty(span, word)) return false;
    this.#unsaved.add(span);
    this.#tellDamage(found.uncompressedStart, found.wantCrc, found.gotCrc);
    return true;
  }

  /** Makes durable what has come in or gone out so far. Calls that overlap are joined. */
  async flush(options: WaitOptions = {}): Promise<void> {
    await this.#flights.run("flush", () => this.#flush(), options);
  }

  /** Flushes, and gives the lease up. Readers in other threads must have been told before. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    const { lockFd, geometryFd, data, onClose } = this.#options;
    try {
      await this.flush();
      const now = Date.now() / 1000;
      futimesSync(lockFd, now, now);
      this.#dropLive();
    } finally {
      this.#isClosed = true;
      onClose(this);
      this.files[Symbol.dispose]();
      for (const fd of [geometryFd, data.dataFd, data.mapFd, data.liveFd, lockFd]) closeSync(fd);
    }
  }

  /** The last who closes the layer needs no live map any more: the durable one says the same. */
  #dropLive(): void {
    const { lockFd, data } = this.#options;
    if (!tryRecordLock(lockFd, LEASE_LOCK, "exclusive")) return;
    for (const path of livePaths(this.#options)) {
      if (isSameFile(data.liveFd, path)) rmSync(path, { force: true });
    }
  }

  async #flush(): Promise<void> {
    const spans = [...this.#unsaved].sort((a, b) => a - b);
    if (spans.length === 0) return;
    this.#unsaved.clear();
    this.#unsavedBytes = 0;
    const { data, lockFd } = this.#options;
    const { live } = this.files;
    try {
      await persistSpans({ live, dataFd: data.dataFd, mapFd: data.mapFd, lockFd, spans });
    } catch (error) {
      for (const span of spans) this.#unsaved.add(span);
      throw error;
    }
  }

  #claim(span: number, endSpan: number): SpanClaim | "present" | "busy" {
    const isAll = (): boolean => this.#areAllPresent(span, endSpan);
    if (isAll()) return "present";
    // Locks of one descriptor do not exclude each other.
    for (let i = span; i < endSpan; i++) if (this.#claimed.has(i)) return "busy";
    const { lockFd } = this.#options;
    const range = spanLock(span, endSpan);
    if (!tryRecordLock(lockFd, range, "exclusive")) return "busy";
    // Filled since we looked, by who held the lock.
    if (isAll()) {
      recordUnlock(lockFd, range);
      return "present";
    }
    for (let i = span; i < endSpan; i++) this.#claimed.add(i);
    return this.#newClaim(span, endSpan);
  }

  #areAllPresent(span: number, endSpan: number): boolean {
    for (let i = span; i < endSpan; i++) if (!this.isPresent(i)) return false;
    return true;
  }

  #newClaim(span: number, endSpan: number): SpanClaim {
    let isHeld = true;
    const giveUp = (): boolean => {
      // With the layer the lock went, and its descriptors' numbers may be other files' by now.
      if (!isHeld || this.#isClosed) return false;
      isHeld = false;
      for (let i = span; i < endSpan; i++) this.#claimed.delete(i);
      return true;
    };
    const unlock = (): void => recordUnlock(this.#options.lockFd, spanLock(span, endSpan));
    return {
      span,
      endSpan,
      markPresent: () => {
        if (!giveUp()) throw new Error(`span ${span} marked present without a claim`);
        this.#markPresent(span, endSpan);
        unlock();
      },
      [Symbol.dispose]: () => {
        if (!giveUp()) return;
        this.#giveBack(span, endSpan);
        unlock();
      },
    };
  }

  #markPresent(span: number, endSpan: number): void {
    const now = lastUseTick();
    for (let i = span; i < endSpan; i++) {
      this.files.live.markPresent(i, now);
      this.#unsaved.add(i);
      this.#unsavedBytes += this.geometry.uncompressedLength(i);
    }
    if (this.#unsavedBytes >= BACKLOG_BYTES) this.#options.onBacklog(this);
  }

  /** What was written of spans that did not become present takes up room for nothing. */
  #giveBack(span: number, endSpan: number): void {
    for (let i = span; i < endSpan; i++) {
      const length = this.geometry.uncompressedLength(i);
      if (this.files.live.isPresent(i) || length === 0) continue;
      const start = this.geometry.uncompressedStart(i);
      // Where holes cannot be punched the room is lost until the span is filled.
      sysFallocate(this.files.dataFd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length);
    }
  }

  /** A process that was killed may have left spans that only the live map knows. */
  #adoptUnsaved(): void {
    const { presence } = this.#options.data.durable;
    for (let span = 0; span < this.geometry.spanCount; span++) {
      if (this.files.live.isPresent(span) !== (presence[span] === 1)) this.#unsaved.add(span);
    }
  }

  #tellDamage(uncompressedStart: number, wantCrc: number, gotCrc: number | undefined): void {
    const fields = {
      layer: this.digest,
      uncompressedStart,
      wantCrc,
      gotCrc: gotCrc ?? "unreadable",
    };
    const { log } = this.#options;
    if (this.#isDamageKnown) log.debug("cached data damaged", fields);
    else log.warn("cached data damaged: it will be fetched again", fields);
    this.#isDamageKnown = true;
  }
}
