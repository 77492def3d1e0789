import type { LayerKey } from "../cache/layer-key.ts";
import type { ErrorMessage } from "./ztoc-messages.ts";

/**
 * What a tables worker is asked for. It begins in the order of the questions and answers each when it
 * is done with it. A zTOC's memory is transferred. Until it is first asked it gets its code warm.
 */
export type TablesQuestion =
  | {
      readonly kind: "ztoc";
      readonly key: LayerKey;
      readonly size: number;
      readonly ztoc: ArrayBuffer;
    }
  | { readonly kind: "cached"; readonly key: LayerKey }
  | { readonly kind: "merge"; readonly layers: readonly LayerKey[]; readonly path: string };

export type TablesRequest =
  | { readonly kind: "open"; readonly cacheRoot: string }
  | { readonly kind: "ask"; readonly id: number; readonly question: TablesQuestion };

export type TablesAnswer =
  /** Why a layer cannot be read by its zTOC, or undefined. */
  | { readonly id: number; readonly kind: "done"; readonly fault: string | undefined }
  | { readonly id: number; readonly kind: "failed"; readonly error: ErrorMessage };
