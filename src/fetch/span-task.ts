import type { SpanClaim } from "../cache/span-claim.ts";
import type { CacheRoom } from "./cache-room.ts";
import type { CompressedBody } from "./compressed-body.ts";
import { UNWANTED, type Urgency } from "./fetch-priority.ts";
import type { RangeFetch } from "./range-fetch.ts";
import type { ScheduledLayer } from "./scheduled-layer.ts";
import type { FillHandle } from "./span-filler.ts";
import type { SpanWait } from "./span-wait.ts";

/**
 * `queued`: to be requested; `fetching`: part of a request under way; `filling`: with the inflate
 * threads; `elsewhere`: another process fills it.
 */
export type SpanState = "queued" | "fetching" | "filling" | "elsewhere";

/** A span that is wanted and not present, until it is. */
export class SpanTask {
  readonly layer: ScheduledLayer;
  readonly span: number;
  state: SpanState = "queued";
  /** Who waits, and up to which uncompressed offset. */
  readonly waits = new Map<SpanWait, number>();
  /** How urgent it is when nobody waits. */
  standing: Urgency = UNWANTED;
  urgency: Urgency = UNWANTED;
  /** How urgent it was when it was requested. */
  cause: Urgency = UNWANTED;
  /** Held from the request to the end. */
  claim: SpanClaim | undefined;
  /** In the cache. */
  room: CacheRoom | undefined;
  fetch: RangeFetch | undefined;
  fill: FillHandle | undefined;
  /** What has come of it by a request that broke off. */
  partial: CompressedBody | undefined;
  /** Failed requests, and bodies that were not the span's. */
  attempts = 0;
  wrongs = 0;
  /** Silences after which its request was given up. */
  stalls = 0;
  /** Not requested again before this, in the clock of performance.now(). */
  notBefore = 0;
  /** Why the last request failed. */
  error: unknown;
  /** Its request must not come from a cache on the way, which has given something wrong. */
  isFresh = false;
  /** It has come and gone too often: it shall be kept in memory for who waits. */
  isForMemory = false;
  /** Whether its bytes count as under way. */
  isCounted = false;
  #progress = 0;

  constructor(layer: ScheduledLayer, span: number) {
    this.layer = layer;
    this.span = span;
  }

  get compressedStart(): number {
    return this.layer.geometry.compressedStart(this.span);
  }

  get compressedEnd(): number {
    return this.layer.geometry.compressedEnd(this.span);
  }

  get compressedLength(): number {
    return this.layer.compressedLength(this.span);
  }

  /** Computes the urgency anew; whether it has changed. */
  reweigh(): boolean {
    let { standing: urgency } = this;
    for (const wait of this.waits.keys()) urgency = Math.min(urgency, wait.urgency);
    const hasChanged = urgency !== this.urgency;
    this.urgency = urgency;
    return hasChanged;
  }

  /** The first uncompressed offset that somebody waits for; 0 when nobody does. */
  get wantEnd(): number {
    if (this.waits.size === 0) return 0;
    let end = Number.POSITIVE_INFINITY;
    for (const wanted of this.waits.values()) end = Math.min(end, wanted);
    return end;
  }

  /** Whether more of it has come since the call before. */
  hasProgressed(): boolean {
    const end = this.partial?.end ?? 0;
    const hasProgressed = end > this.#progress;
    this.#progress = end;
    return hasProgressed;
  }

  /** It is not filled now: others may, and its room is free. */
  giveUpClaim(): void {
    this.claim?.[Symbol.dispose]();
    this.claim = undefined;
    this.room?.[Symbol.dispose]();
    this.room = undefined;
  }

  /** It is filled. */
  markPresent(): void {
    this.claim?.markPresent();
    this.claim = undefined;
    this.room?.keep();
    this.room = undefined;
  }

  dropPartial(): void {
    this.partial?.[Symbol.dispose]();
    this.partial = undefined;
  }
}
