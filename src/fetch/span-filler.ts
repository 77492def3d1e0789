import type { LayerHandle } from "../cache/layer-files.ts";
import type { CompressedSpan } from "./compressed-body.ts";
import type { Urgency } from "./fetch-priority.ts";

/** Progress of a fill is told in whole blocks of this size, counted from the span's start. */
export const PROGRESS_BYTES = 16 * 1024;

export interface FillRequest {
  readonly layer: number;
  readonly span: number;
  readonly uncompressedStart: number;
  /** The compressed bytes, or the first of them: then append() brings the rest. Left alone until onEnd(). */
  readonly compressed: CompressedSpan;
  readonly isComplete: boolean;
  readonly urgency: Urgency;
  /** Uncompressed offset that somebody waits for; 0 when nobody does. */
  readonly wantEnd: number;
  /** The cache has no room: hand the bytes back. */
  readonly toMemory: boolean;
}

export type FillOutcome =
  /** All of it is written, with its checksums. */
  | { readonly kind: "filled" }
  /** The disk is full, or toMemory was asked for: all bytes of the span. */
  | { readonly kind: "kept"; readonly bytes: Uint8Array }
  /** data-loss: these compressed bytes are not the span's; others may be. */
  | { readonly kind: "wrong"; readonly error: Error }
  | { readonly kind: "failed"; readonly error: Error }
  /** As abort() asked for: nothing is written any more. */
  | { readonly kind: "aborted" };

export interface FillEvents {
  /** What was last wanted has been written, although the fill goes on. */
  onReached(): void;
  /** Once, and the last. */
  onEnd(outcome: FillOutcome): void;
}

/** A fill under way. */
export interface FillHandle {
  /** Uncompressed offset up to which the span stands in the cache's file, with its checksums. */
  readonly reached: number;
  /** Somebody else waits; urgency only rises. */
  want(urgency: Urgency, end: number): void;
  /** More of the compressed bytes are here: all so far, in the same chunks and further ones. */
  append(compressed: CompressedSpan, isComplete: boolean): void;
  /** The rest will not come. onEnd() follows. */
  abort(): void;
}

/** Verifies, inflates and writes spans, the most urgent first. */
export interface SpanFiller {
  /** The handle stays good until closeLayer(). */
  openLayer(layer: number, handle: LayerHandle): void;
  closeLayer(layer: number): void;
  /** Events come later, never during the call. */
  fill(request: FillRequest, events: FillEvents): FillHandle;
  /** These chunks are never used again. */
  dropChunks(ids: readonly number[]): void;
  /** Gets ready: bytes will come soon. */
  warm(): void;
}
