import { checkSpans } from "./check-spans.ts";
import { isSparse } from "./is-sparse.ts";
import type { Ztoc } from "./ztoc.ts";

/** Why a layer cannot be read through this zTOC, or undefined when it can. What decodeZtoc() took may still have faults. */
export function ztocFault(ztoc: Ztoc): string | undefined {
  return ztoc.files.some(isSparse)
    ? "it holds sparse files, whose holes a zTOC cannot tell"
    : checkSpans(ztoc);
}
