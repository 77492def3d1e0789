import type { CachedLayer } from "../cache/cached-layer.ts";
import type { LayerGeometry } from "../cache/layer-geometry.ts";
import { LayerReader } from "../cache/layer-reader.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { SequentialStreams } from "./sequential-streams.ts";
import type { SourceHealth } from "./source-health.ts";
import type { SpanTask } from "./span-task.ts";

/** The furthest that reading ahead goes, in compressed bytes. */
const MAX_AHEAD_BYTES = 32 << 20;

/** More compressed bytes than this are not held at once. */
const MAX_SPAN_BYTES = 2 ** 30;

export interface LayerToSchedule {
  /** A name for it in all calls. */
  readonly id: number;
  /** Stays open until removeLayer() is done. */
  readonly layer: CachedLayer;
  readonly descriptor: Descriptor;
  /** Brings a layer in whose spans cannot be had one by one; then all are present. */
  readonly refetchWhole?: ((signal: AbortSignal) => Promise<void>) | undefined;
}

/** A layer as the scheduler knows it. */
export class ScheduledLayer {
  readonly id: number;
  readonly cached: CachedLayer;
  readonly geometry: LayerGeometry;
  readonly descriptor: Descriptor;
  readonly health: SourceHealth;
  readonly refetchWhole: ((signal: AbortSignal) => Promise<void>) | undefined;
  readonly reader: LayerReader;
  readonly streams: SequentialStreams;
  /** Of spans that are wanted and not present. */
  readonly tasks = new Map<number, SpanTask>();
  /** All of it shall become local. */
  isFilling = false;
  /** The source gives the whole blob whatever range is asked for: one request must serve all. */
  hasNoRanges = false;
  /** Spans that were fetched here, to see when one must be fetched again. */
  readonly #fetched: Uint8Array;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor({ id, layer, descriptor, refetchWhole }: LayerToSchedule, health: SourceHealth) {
    const { geometry } = layer;
    this.id = id;
    this.cached = layer;
    this.geometry = geometry;
    this.descriptor = descriptor;
    this.health = health;
    this.refetchWhole = refetchWhole;
    this.reader = new LayerReader(layer.files);
    this.#fetched = new Uint8Array(geometry.spanCount);
    const ratio = geometry.dataSize / Math.max(1, geometry.compressedSize);
    this.streams = new SequentialStreams({
      maxAheadBytes: MAX_AHEAD_BYTES * Math.max(1, ratio),
      spanOf: (offset) => geometry.spanOf(offset),
      spanStart: (span) => geometry.uncompressedStart(span),
    });
  }

  /** A zTOC may say of a file that it lies where its layer has nothing. @throws data-loss */
  checkRange(start: number, end: number): void {
    const { dataSize } = this.geometry;
    if (start >= 0 && start <= end && end <= dataSize) return;
    throw new SociError(
      "data-loss",
      `Cannot read bytes ${start} to ${end} of layer ${this.descriptor.digest}: it has ${dataSize}`,
    );
  }

  compressedLength(span: number): number {
    return this.geometry.compressedEnd(span) - this.geometry.compressedStart(span);
  }

  /** A hostile zTOC may have one span of a layer of a terabyte. @throws unsupported */
  checkSize(span: number): void {
    const size = this.compressedLength(span);
    if (size <= MAX_SPAN_BYTES) return;
    throw new SociError(
      "unsupported",
      `Cannot read span ${span} of layer ${this.descriptor.digest}: it has ${size} bytes, want at most ${MAX_SPAN_BYTES}`,
    );
  }

  /** A task is over. */
  forget(span: number): void {
    this.tasks.delete(span);
    if (this.tasks.size > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  /** When no task is left. */
  async idle(): Promise<void> {
    if (this.tasks.size === 0) return;
    this.#idle ??= Promise.withResolvers();
    await this.#idle.promise;
  }

  /** Remembers that a span was fetched; whether it had been before. */
  noteFetched(span: number): boolean {
    const before = this.#fetched[span] === 1;
    this.#fetched[span] = 1;
    return before;
  }
}
