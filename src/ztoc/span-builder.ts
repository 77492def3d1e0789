import type { Digest } from "../oci/digest.ts";

/** What a layer's spans have come to, once all of it was read. */
export interface BuiltSpans {
  readonly maxSpanId: number;
  readonly spanDigests: readonly Digest[];
  /** Why no reader can use the spans although the reference writes them, or undefined. */
  readonly unusable: string | undefined;
  /** The checkpoint blob of the zTOC. */
  readonly checkpoints: { readonly size: number; chunks(): Iterable<Uint8Array> };
}

/** Takes a layer's compressed bytes, hands on its uncompressed bytes, and keeps its checkpoints. */
export interface SpanBuilder {
  /** The chunk's memory may be reused after the call. */
  push(chunk: Uint8Array): void;
  finish(): BuiltSpans;
}

/** Takes uncompressed bytes in order; the view dies with the call. */
export type OutputHandler = (bytes: Uint8Array) => void;
