import type { CachedLayer } from "../cache/cached-layer.ts";
import { SociError } from "../errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/fs-errors.ts";
import { HttpError } from "../oci/http-error.ts";
import type { LayerOrigin } from "./held-layers.ts";

/** A layer that is in the cache. */
export interface ReadyLayer {
  readonly kind: "ready";
  /** Opened for the caller, who disposes of it. */
  readonly layer: CachedLayer;
  readonly descriptor: Descriptor;
  readonly from: LayerOrigin;
  /** Whether it was read whole, now or when it came into the cache, rather than by a zTOC. */
  readonly isWhole: boolean;
  /** Whether its image has a SOCI index, as far as is known: nobody looks for one when all is there. */
  readonly hasIndex: boolean;
  /** Of its uncompressed bytes; undefined where nobody had to ask. */
  readonly diffId: Digest | undefined;
}

/**
 * Why a layer is not served. no-index: its image has none, and is not read whole; no-ztoc: the index
 * names none for it that can be used, and it is not read whole; modes-disabled: nobody may look for an
 * index; registry: what is needed cannot be had; data: it is there and wrong; no-room: on disk.
 */
export type LayerRefusal =
  "no-index" | "no-ztoc" | "modes-disabled" | "registry" | "data" | "no-room" | "internal";

export interface RefusedLayer {
  readonly kind: "refused";
  readonly reason: LayerRefusal;
  /** One sentence. */
  readonly detail: string;
  /** When something failed, rather than was found to be so. */
  readonly error?: unknown;
}

export type LayerOutcome = ReadyLayer | RefusedLayer;

/** What a failure means for the layer that it befell. */
export function refusalOf(error: unknown): RefusedLayer {
  const detail = error instanceof Error ? error.message : String(error);
  return { kind: "refused", reason: reasonOf(error), detail, error };
}

function reasonOf(error: unknown): LayerRefusal {
  if (!(error instanceof SociError)) return "internal";
  switch (error.kind) {
    case "not-found":
    case "unauthenticated":
    case "permission-denied":
    case "unavailable":
      return "registry";
    case "data-loss":
    case "unsupported":
      return "data";
    case "failed-precondition":
      if (error instanceof HttpError) return "registry";
      return isOtherThanRoom(error) ? "internal" : "no-room";
    case "invalid-argument":
    case "already-exists":
    case "internal":
      return "internal";
  }
}

/** The disk fails in other ways than by being full. */
function isOtherThanRoom({ cause }: SociError): boolean {
  return cause instanceof Error && "code" in cause && !isErrno(cause, "ENOSPC", "EDQUOT");
}

/** What to throw where a layer had to be had. */
export function failureOf({ detail, error }: RefusedLayer): unknown {
  return error ?? new SociError("not-found", detail);
}
