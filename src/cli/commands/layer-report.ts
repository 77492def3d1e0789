import type { LayerOutcome } from "../../soci/index-layers.ts";
import { safeText } from "../safe-text.ts";

/** What became of a layer, as the Go tool prints it; empty where nothing need be said. */
export function layerLine(outcome: LayerOutcome): string {
  if (outcome.status === "skipped") return safeText(outcome.message);
  const suffix = outcome.status === "reused" ? " (already exists)" : "";
  return `layer ${outcome.layer.digest} -> ztoc ${outcome.ztoc.digest}${suffix}`;
}

/** The same for --json. */
export function layerJson(outcome: LayerOutcome): unknown {
  const { layer, status } = outcome;
  const common = { layer: layer.digest, mediaType: layer.mediaType, size: layer.size, status };
  return outcome.status === "skipped"
    ? { ...common, reason: outcome.reason, message: outcome.message }
    : { ...common, ztoc: outcome.ztoc.digest, ztocSize: outcome.ztoc.size };
}
