import type { IngestTarget } from "../image/layer-ingester.ts";
import type { Digest } from "../oci/digest.ts";
import type { ZtocSummary } from "../ztoc/ztoc-summary.ts";
import type { ChunkMessage, TakenMessage } from "./chunk-feeder.ts";
import type { ErrorMessage } from "./ztoc-messages.ts";

/**
 * The conversation that takes one layer into the cache. Buffers are transferred, never copied, and
 * travel back to be used again.
 *
 *     begin → (chunk → taken)* → finish → done → (read → bytes)* → read → end
 *
 * `failed` may come instead of any answer and ends the conversation; so does `begin`. After `done`
 * without a zTOC there is nothing to read.
 */
export type IngestWorkerRequest =
  | {
      readonly kind: "begin";
      readonly cacheRoot: string;
      readonly layer: Digest;
      readonly target: IngestTarget;
    }
  | ChunkMessage
  | { readonly kind: "finish"; readonly diffId: Digest | undefined }
  | { readonly kind: "read" }
  /** At any time: what is half-made goes, then `abandoned` is the last answer. */
  | { readonly kind: "abandon" };

export type IngestWorkerAnswer =
  | TakenMessage
  | { readonly kind: "done"; readonly ztoc: ZtocSummary | undefined }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "end" }
  | { readonly kind: "abandoned" }
  | { readonly kind: "failed"; readonly error: ErrorMessage };
