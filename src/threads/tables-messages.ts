import type { Digest } from "../oci/digest.ts";
import type { ErrorMessage } from "./ztoc-messages.ts";

/**
 * What a tables worker is asked for, one thing after another, each answered by `done` or `failed`. A
 * zTOC's memory is transferred. Until it is first asked it gets its code warm.
 */
export type TablesRequest =
  | { readonly kind: "open"; readonly cacheRoot: string }
  | {
      readonly kind: "ztoc";
      readonly digest: Digest;
      readonly size: number;
      readonly ztoc: ArrayBuffer;
    }
  | { readonly kind: "cached"; readonly digest: Digest }
  | { readonly kind: "merge"; readonly layers: readonly Digest[]; readonly path: string };

export type TablesAnswer =
  /** Why a layer cannot be read by its zTOC, or undefined. */
  | { readonly kind: "done"; readonly fault: string | undefined }
  | { readonly kind: "failed"; readonly error: ErrorMessage };
