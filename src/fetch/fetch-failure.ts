import { isKind } from "../errors.ts";
import { HttpError } from "../oci/http-error.ts";

/**
 * What a failed request says: `source`: the place does not answer now, whatever is asked of it;
 * `blob`: it answers, but not with what was asked for, which another attempt may mend (a link that
 * has expired, a cache in between); `final`: no use in trying again.
 */
export type FetchFailure = "source" | "blob" | "final";

export function failureOf(error: unknown): FetchFailure {
  if (error instanceof HttpError) return error.temporary ? "source" : "blob";
  if (isKind(error, "unavailable")) return "source";
  if (isKind(error, "data-loss", "not-found", "unauthenticated", "permission-denied")) {
    return "blob";
  }
  return "final";
}

/** How long the server asks to be left alone. */
export function retryAfterOf(error: unknown): number | undefined {
  return error instanceof HttpError ? error.retryAfterMs : undefined;
}
