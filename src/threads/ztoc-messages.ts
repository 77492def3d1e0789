import type { ErrorKind } from "../errors.ts";
import { SociError } from "../errors.ts";
import type { ZtocSummary } from "../ztoc/ztoc-summary.ts";
import type { CompressionAlgorithm } from "../ztoc/ztoc.ts";

/**
 * The conversation that builds one zTOC in a worker. Buffers are transferred, never copied, and
 * travel back to be used again: their number bounds what is under way.
 *
 *     begin → (chunk → taken)* → finish → built → (read → bytes)* → read → end
 *
 * `failed` may come instead of any answer and ends the conversation; so does `begin`.
 */
export type ZtocWorkerRequest =
  | {
      readonly kind: "begin";
      readonly algorithm: CompressionAlgorithm;
      readonly spanSize: number;
      /** For checkpoints that are too many for memory. */
      readonly temporaryDirectory: string;
    }
  | { readonly kind: "chunk"; readonly buffer: ArrayBuffer; readonly length: number }
  | { readonly kind: "finish" }
  | { readonly kind: "read" };

export type ZtocWorkerAnswer =
  | { readonly kind: "taken"; readonly buffer: ArrayBuffer }
  | { readonly kind: "built"; readonly summary: ZtocSummary }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "end" }
  | { readonly kind: "failed"; readonly error: ErrorMessage };

/** A SociError between threads: structured cloning keeps no class and no kind. */
export interface ErrorMessage {
  readonly kind: ErrorKind | undefined;
  readonly message: string;
  readonly hint: string | undefined;
  readonly stack: string | undefined;
}

export function errorMessageOf(error: unknown): ErrorMessage {
  if (error instanceof SociError) {
    return { kind: error.kind, message: error.message, hint: error.hint, stack: error.stack };
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { kind: undefined, message, hint: undefined, stack };
}

export function errorOf({ kind, message, hint, stack }: ErrorMessage): Error {
  const error =
    kind === undefined
      ? new Error(message)
      : new SociError(kind, message, hint === undefined ? {} : { hint });
  if (stack !== undefined) error.stack = stack;
  return error;
}
