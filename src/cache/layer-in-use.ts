import { closeSync, constants, fdatasync, fstatSync, openSync } from "node:fs";
import { promisify } from "node:util";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { isKind } from "../errors.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, sysFallocate } from "../sys/libc.ts";
import {
  isRecordLocked,
  type RecordRange,
  recordUnlock,
  tryRecordLock,
} from "../sys/record-lock.ts";
import { acquireRecordLock } from "./acquire-record-lock.ts";
import type { LayerPaths } from "./cache-paths.ts";
import { durableMapPlaces } from "./durable-map.ts";
import { LayerFiles } from "./layer-files.ts";
import { type LayerKey, layerOfKey } from "./layer-key.ts";
import { LayerGeometry } from "./layer-geometry.ts";
import { LEASE_LOCK, MAP_LOCK, spanLock } from "./layer-locks.ts";
import { ageMs, PRESENT } from "./live-map.ts";
import { writeAllAt } from "./new-file.ts";
import { findLayerData } from "./open-layer-data.ts";
import { PAGE_BYTES, pagesOf } from "./usage-account.ts";

const syncData = promisify(fdatasync);

/** Spans that go together: one, or in a "whole" layer all. */
export interface EvictionUnit {
  readonly span: number;
  readonly endSpan: number;
  readonly bytes: number;
  readonly ageMs: number;
}

export interface LayerInUseOptions {
  readonly key: LayerKey;
  readonly paths: LayerPaths;
  readonly liveDirectory: string | undefined;
}

const PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/** A layer that somebody, perhaps another process, has open, as who needs room sees it. */
export class LayerInUse implements Disposable {
  readonly digest: Digest;
  readonly #files: LayerFiles;
  /** Opened for this alone, so that its locks exclude those of the same process. */
  readonly #lockFd: number;
  readonly #mapFd: number;

  private constructor(digest: Digest, files: LayerFiles, lockFd: number, mapFd: number) {
    this.digest = digest;
    this.#files = files;
    this.#lockFd = lockFd;
    this.#mapFd = mapFd;
  }

  /** undefined: it is not in use, or not in a state to be looked at. */
  static open(options: LayerInUseOptions): LayerInUse | undefined {
    using opened = new DisposableStack();
    const keep = (fd: number): number => {
      opened.defer(() => closeSync(fd));
      return fd;
    };
    try {
      const { paths } = options;
      const digest = layerOfKey(options.key);
      const lockFd = keep(openSync(paths.lock, constants.O_RDWR | constants.O_NOFOLLOW));
      if (!isRecordLocked(lockFd, LEASE_LOCK)) return undefined;
      using reading = new DisposableStack();
      const geometryFd = openSync(paths.geometry, constants.O_RDONLY | constants.O_NOFOLLOW);
      reading.defer(() => closeSync(geometryFd));
      const geometry = LayerGeometry.read(geometryFd, fstatSync(geometryFd).size);
      const data = findLayerData({ ...options, geometry });
      if (data === undefined) return undefined;
      const { dataFd, liveFd } = data;
      reading.defer(() => closeSync(dataFd));
      reading.defer(() => closeSync(liveFd));
      const mapFd = keep(data.mapFd);
      const handle = { digest, geometry: geometry.buffer, geometryFd, dataFd, liveFd };
      const layer = new LayerInUse(digest, LayerFiles.open(handle), lockFd, mapFd);
      opened.move();
      return layer;
    } catch (error) {
      // Removed or replaced while we look: who uses it has it no more by this name.
      if (isErrno(error, "ENOENT", "ENOTDIR") || isKind(error, "data-loss")) return undefined;
      throw error;
    }
  }

  /** What could be evicted: units that are present. */
  *units(now: number): Generator<EvictionUnit> {
    const { geometry, live } = this.#files;
    const { spanCount } = geometry;
    if (geometry.encoding === "whole") {
      const bytes = live.presentBytes();
      if (bytes > 0) yield { span: 0, endSpan: spanCount, bytes, ageMs: this.#youngest(now) };
      return;
    }
    for (let span = 0; span < spanCount; span++) {
      if (!live.isPresent(span)) continue;
      const bytes = geometry.uncompressedLength(span);
      yield { span, endSpan: span + 1, bytes, ageMs: ageMs(now, live.lastUse[span] ?? 0) };
    }
  }

  /**
   * Empties units, leaving those alone that are being filled: first nobody finds them present any
   * more, then the durable map has lost them, then their room is given back. How many bytes that
   * gave: none where the file system cannot punch holes.
   */
  async evict(units: readonly EvictionUnit[]): Promise<{ bytes: number; spans: number }> {
    const taken = units.filter((unit) => this.#take(unit));
    let bytes = 0;
    let spans = 0;
    try {
      if (taken.length > 0) await this.#forget(taken);
      for (const unit of taken) {
        if (this.#punch(unit.span, unit.endSpan)) bytes += unit.bytes;
        spans += unit.endSpan - unit.span;
      }
    } finally {
      for (const unit of taken) recordUnlock(this.#lockFd, spanLock(unit.span, unit.endSpan));
    }
    return { bytes, spans };
  }

  /** Pages on disk beyond those of present spans: left by who was killed while filling. */
  get strayPages(): number {
    const allocated = pagesOf(fstatSync(this.#files.dataFd).blocks * 512);
    return allocated - pagesOf(this.#files.live.presentBytes());
  }

  /** Gives back the room of spans that are not present and not being filled; the pages it gave. */
  punchStray(): number {
    const { live, geometry } = this.#files;
    const before = fstatSync(this.#files.dataFd).blocks;
    for (let span = 0; span < geometry.spanCount; span++) {
      if (live.isPresent(span)) continue;
      const range = spanLock(span);
      if (!tryRecordLock(this.#lockFd, range, "exclusive")) continue;
      try {
        if (!live.isPresent(span)) this.#punch(span, span + 1);
      } finally {
        recordUnlock(this.#lockFd, range);
      }
    }
    const blocks = before - fstatSync(this.#files.dataFd).blocks;
    return Math.max(0, Math.floor((blocks * 512) / PAGE_BYTES));
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
    closeSync(this.#mapFd);
    closeSync(this.#lockFd);
  }

  #youngest(now: number): number {
    let youngest = Number.POSITIVE_INFINITY;
    for (const lastUse of this.#files.live.lastUse) {
      youngest = Math.min(youngest, ageMs(now, lastUse));
    }
    return youngest;
  }

  /** Locks the unit and takes it away from readers; false when it is being filled, or is gone. */
  #take({ span, endSpan }: EvictionUnit): boolean {
    const range: RecordRange = spanLock(span, endSpan);
    if (!tryRecordLock(this.#lockFd, range, "exclusive")) return false;
    const { live } = this.#files;
    let isEmptied = false;
    for (let i = span; i < endSpan; i++) {
      const word = Atomics.load(live.words, i);
      if ((word & PRESENT) !== 0 && live.empty(i, word)) isEmptied = true;
    }
    if (!isEmptied) recordUnlock(this.#lockFd, range);
    return isEmptied;
  }

  /** Takes units out of the durable map. */
  async #forget(units: readonly EvictionUnit[]): Promise<void> {
    const { presence } = durableMapPlaces(this.#files.geometry);
    await acquireRecordLock(this.#lockFd, MAP_LOCK, "exclusive");
    try {
      for (const { span, endSpan } of units) {
        writeAllAt(this.#mapFd, new Uint8Array(endSpan - span), presence + span);
      }
    } finally {
      recordUnlock(this.#lockFd, MAP_LOCK);
    }
    await syncData(this.#mapFd);
  }

  #punch(span: number, endSpan: number): boolean {
    const { geometry, dataFd } = this.#files;
    const start = geometry.uncompressedStart(span);
    const length = geometry.uncompressedEnd(endSpan - 1) - start;
    return length === 0 || sysFallocate(dataFd, PUNCH, start, length) >= 0;
  }
}
