import type { Logger } from "../../observability/log.ts";
import type { IndexedLayers } from "../../soci/index-layers.ts";
import type { OutputStream } from "../cli-io.ts";

type Prefetched = Pick<IndexedLayers, "prefetch" | "missingFiles">;

/** Says which prefetch artifacts were made, as the Go tool does, and warns of files that are nowhere. */
export async function reportPrefetch(
  { prefetch, missingFiles }: Prefetched,
  { stdout, log }: { readonly stdout: OutputStream | undefined; readonly log: Logger },
): Promise<void> {
  for (const { layer, digest } of prefetch) {
    await stdout?.write(`Created prefetch artifact for layer ${layer}: ${digest}\n`);
  }
  for (const path of missingFiles) log.warn("prefetch file not found in any layer", { path });
}

/** The same for --json. */
export function prefetchJson({ prefetch, missingFiles }: Prefetched): {
  readonly prefetch: readonly unknown[];
  readonly missingFiles: readonly string[];
} {
  return {
    prefetch: prefetch.map(({ layer, digest, size }) => ({ layer, digest, size })),
    missingFiles,
  };
}
