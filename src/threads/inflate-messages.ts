import type { LayerHandle } from "../cache/layer-files.ts";
import type { ErrorMessage } from "./ztoc-messages.ts";

/** Fills that one thread may know of at once. */
export const FILL_SLOTS = 256;

/**
 * Words shared with one thread, 32 bits each: first how many messages were sent to it, so that it
 * can see in the middle of its work whether there is one it has not read; then, a slot for each
 * fill, how many whole blocks of PROGRESS_BYTES it has written.
 */
export const SENT_WORD = 0;
export const FIRST_SLOT_WORD = 1;
export const SHARED_WORDS = FIRST_SLOT_WORD + FILL_SLOTS;

export interface FillMessage {
  readonly kind: "fill";
  /** 0 to FILL_SLOTS - 1; free again after the end. */
  readonly slot: number;
  readonly layer: number;
  readonly span: number;
  /** Numbers of the chunks; new ones come along, and are kept until dropped. */
  readonly chunks: readonly number[];
  readonly newChunks: readonly (readonly [number, SharedArrayBuffer])[];
  /** Of the span's bytes in the first chunk, and how many have come. */
  readonly start: number;
  readonly length: number;
  readonly isComplete: boolean;
  readonly urgency: number;
  readonly wantEnd: number;
  readonly toMemory: boolean;
}

/** More bytes of a fill: `chunks` are those behind the ones before. */
export interface AppendMessage {
  readonly kind: "append";
  readonly slot: number;
  readonly chunks: readonly number[];
  readonly newChunks: readonly (readonly [number, SharedArrayBuffer])[];
  readonly length: number;
  readonly isComplete: boolean;
}

export type InflateRequest =
  | { readonly kind: "start"; readonly words: SharedArrayBuffer }
  | { readonly kind: "warm" }
  | { readonly kind: "open"; readonly layer: number; readonly handle: LayerHandle }
  | { readonly kind: "close"; readonly layer: number }
  | { readonly kind: "drop"; readonly chunks: readonly number[] }
  | FillMessage
  | AppendMessage
  /** The last: closes all and answers `ended`. */
  | { readonly kind: "end" }
  | { readonly kind: "abort"; readonly slot: number }
  | {
      readonly kind: "want";
      readonly slot: number;
      readonly urgency: number;
      readonly wantEnd: number;
    };

export type InflateAnswer =
  | { readonly kind: "ended" }
  | { readonly kind: "reached"; readonly slot: number }
  | { readonly kind: "filled" | "aborted"; readonly slot: number }
  | { readonly kind: "kept"; readonly slot: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | {
      readonly kind: "wrong" | "failed";
      readonly slot: number;
      readonly error: ErrorMessage;
    };
