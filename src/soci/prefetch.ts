import { SociError } from "../errors.ts";
import { JsonObject, parseJson } from "../oci/json-document.ts";

/** Spans of one layer that are worth having before anybody asks for them; both ends belong to it. */
export interface PrefetchRange {
  readonly startSpan: number;
  readonly endSpan: number;
  /** 0 when the artifact does not say. */
  readonly priority: number;
}

/** What a prefetch artifact of a SOCI index says of its layer. */
export interface PrefetchArtifact {
  readonly version: typeof PREFETCH_VERSION;
  /** In the artifact's order, at least one; they may overlap and lie behind the layer's end. */
  readonly ranges: readonly PrefetchRange[];
}

export const PREFETCH_VERSION = "1.0";

/** Far more than a layer has spans of the usual size; each costs memory. */
const MAX_RANGES = 1 << 16;

/**
 * Parses a prefetch artifact that others wrote. `what` names it in errors.
 * @throws data-loss; unsupported for another version
 */
export function decodePrefetch(bytes: Uint8Array, what = "prefetch artifact"): PrefetchArtifact {
  const json = new JsonObject(parseJson(bytes, what), what);
  const version = json.string("version");
  if (version !== PREFETCH_VERSION) {
    throw new SociError(
      "unsupported",
      `Cannot use ${what}: unsupported prefetch artifact version ${JSON.stringify(version.slice(0, 100))}, want "${PREFETCH_VERSION}"`,
    );
  }
  const ranges = (json.optionalObjects("prefetch_spans", MAX_RANGES) ?? []).map((item) =>
    rangeOf(item, what),
  );
  if (ranges.length === 0) {
    throw new SociError("data-loss", `Cannot use ${what}: it names no spans, want one or more`);
  }
  return { version, ranges };
}

function rangeOf(item: JsonObject, what: string): PrefetchRange {
  const startSpan = item.size("start_span");
  const endSpan = item.size("end_span");
  if (startSpan > endSpan) {
    throw new SociError(
      "data-loss",
      `Cannot use ${what}: ${item.pathOf("start_span")} is ${startSpan}, want <= ${endSpan}, where the range ends`,
    );
  }
  return { startSpan, endSpan, priority: item.has("priority") ? item.size("priority") : 0 };
}

/** A half-open range of spans. */
export interface SpanRange {
  readonly start: number;
  readonly end: number;
}

/** The spans of an artifact that a layer of so many spans has: in order, none twice, neighbours joined. */
export function spansToPrefetch(
  { ranges }: PrefetchArtifact,
  spanCount: number,
): readonly SpanRange[] {
  const joined: { start: number; end: number }[] = [];
  for (const { startSpan, endSpan } of ranges.toSorted((a, b) => a.startSpan - b.startSpan)) {
    const end = Math.min(endSpan + 1, spanCount);
    const last = joined.at(-1);
    if (startSpan >= end) continue;
    if (last !== undefined && startSpan <= last.end) last.end = Math.max(last.end, end);
    else joined.push({ start: startSpan, end });
  }
  return joined;
}
