import type { Artifact } from "./artifact.ts";
import { formatGoDuration } from "./go-duration.ts";
import type { PrefetchArtifact } from "./prefetch.ts";
import { formatTabTable } from "./tab-table.ts";

/** A prefetch artifact of the local store, and how many spans it names: `undefined` when it cannot be read. */
export interface ListedPrefetch {
  readonly artifact: Artifact;
  readonly spans: number | undefined;
}

/** `prefetch list` as the Go tool prints it; `now` in milliseconds since 1970. */
export function formatPrefetchTable(listed: readonly ListedPrefetch[], now: number): string {
  return formatTabTable([
    ["DIGEST", "LAYER DIGEST", "SPANS", "CREATED"],
    ...listed.map(({ artifact, spans }) => [
      artifact.digest,
      artifact.ociDigest,
      spans === undefined ? "N/A" : String(spans),
      artifact.createdAt === 0 ? "n/a" : `${formatGoDuration(now - artifact.createdAt)} ago`,
    ]),
  ]);
}

/** How many spans an artifact names, as the Go tool counts: a span in two ranges is two. */
export function countPrefetchSpans({ ranges }: PrefetchArtifact): number {
  return ranges.reduce((sum, { startSpan, endSpan }) => sum + endSpan - startSpan + 1, 0);
}

/** `prefetch info` as the Go tool prints it. */
export function formatPrefetchInfo(
  { digest, ociDigest, size, createdAt }: Artifact,
  prefetch: PrefetchArtifact,
): string {
  const lines = prefetch.ranges.flatMap(({ startSpan, endSpan, priority }, index) => [
    `  [${index}] StartSpan: ${startSpan}, EndSpan: ${endSpan} (covers ${endSpan - startSpan + 1} spans)`,
    ...(priority === 0 ? [] : [`      Priority: ${priority}`]),
  ]);
  const created = new Date(createdAt).toISOString().slice(0, 19).replace("T", " ");
  return `Digest:        ${digest}
Version:       ${prefetch.version}
Span Ranges:   ${prefetch.ranges.length}
Layer Digest:  ${ociDigest}
Size:          ${size} bytes
Created:       ${created}

Prefetch Spans:
${lines.join("\n")}

Total spans to prefetch: ${countPrefetchSpans(prefetch)}
`;
}
