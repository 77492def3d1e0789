import type { Digest } from "../oci/digest.ts";

/** What has been taken out of the cache to make room. */
export interface Eviction {
  readonly layer: Digest;
  readonly bytes: number;
  /** Of a layer in use: how many of its spans. undefined: the whole layer, which nobody used. */
  readonly spans: number | undefined;
}

/** Whom room is wanted for. */
export type SpaceCause = "demand" | "ingest" | "prefetch" | "readahead" | "background";

/** The part of the cap up to which spans are fetched that nobody has asked for. */
const BACKGROUND_PART = 0.9;

/** What may be done for a cause. */
export interface SpaceRule {
  /** Part of the cap. */
  readonly part: number;
  /** Whether layers that nobody uses may go for it, the longest unused first. */
  readonly evictsLayers: boolean;
  /** Whether spans of layers in use may. */
  readonly evictsSpans: boolean;
}

export function spaceRuleOf(cause: SpaceCause): SpaceRule {
  switch (cause) {
    case "demand":
    case "ingest":
      return { part: 1, evictsLayers: true, evictsSpans: true };
    case "prefetch":
    case "readahead":
      return { part: 1, evictsLayers: true, evictsSpans: false };
    case "background":
      return { part: BACKGROUND_PART, evictsLayers: false, evictsSpans: false };
  }
}
