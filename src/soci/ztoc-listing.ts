import type { Artifact } from "./artifact.ts";
import type { LocalStore } from "./local-store.ts";
import { ztocReferences } from "./soci-index.ts";
import { formatTabTable } from "./tab-table.ts";

/** `ztoc list` as the Go tool prints it. */
export function formatZtocTable(ztocs: readonly Artifact[]): string {
  return formatTabTable([
    ["DIGEST", "SIZE", "LAYER DIGEST"],
    ...ztocs.map((ztoc) => [ztoc.digest, String(ztoc.size), ztoc.ociDigest]),
  ]);
}

/** The zTOCs that these indexes name, in their order, each once. One that the store does not list is left out. */
export async function listZtocsOfIndexes(
  store: Pick<LocalStore, "artifacts" | "readIndex">,
  indexes: readonly Artifact[],
): Promise<readonly Artifact[]> {
  const found = new Map<string, Artifact>();
  for (const { digest } of indexes) {
    for (const reference of ztocReferences(await store.readIndex(digest))) {
      const { layer } = reference;
      const { digest: ztoc } = reference.descriptor;
      const [artifact] = store.artifacts.listZtocs({ digest: ztoc, layer });
      if (artifact !== undefined) found.set(`${ztoc} ${layer}`, artifact);
    }
  }
  return [...found.values()];
}
