import { labelOf, parseFilters } from "../containerd/filters.ts";
import { REF_LABEL } from "./metastore-schema.ts";
import type { Snapshot } from "./snapshot.ts";

export interface ListFilter {
  /** Where only snapshots with this value of `containerd.io/snapshot.ref` can match. */
  readonly ref: string | undefined;
  matches(snapshot: Snapshot): boolean;
}

/** Filters of List: a snapshot matches when one of them does, or when there are none. @throws invalid-argument */
export function parseListFilter(filters: readonly string[]): ListFilter {
  if (filters.length === 0) return { ref: undefined, matches: () => true };
  const accepts = parseFilters(filters);
  const [only, ...others] = filters;
  return {
    ref: only === undefined || others.length > 0 ? undefined : leadingRef(only),
    matches: (snapshot) => accepts((path) => fieldOf(snapshot, path)),
  };
}

// What containerd asks for each layer that was prepared under its target's name:
// labels."containerd.io/snapshot.ref"==sha256:…,parent=="…". A list of conditions with commas holds
// only where its first does; anything that looks otherwise is answered from all snapshots.
const LEADING_REF = new RegExp(
  `^labels\\."${REF_LABEL.replaceAll(".", "\\.")}"==(?:([A-Za-z0-9_.:-]+)|"([^"\\\\]+)")(?:,|$)`,
);

function leadingRef(filter: string): string | undefined {
  const match = LEADING_REF.exec(filter);
  return match?.[1] ?? match?.[2];
}

/** As containerd's own snapshotters name fields; `undefined` where there is none. */
function fieldOf(snapshot: Snapshot, path: readonly string[]): string | undefined {
  switch (path[0]) {
    case "kind":
      return snapshot.kind;
    case "name":
      return snapshot.name;
    case "parent":
      return snapshot.parent?.name ?? "";
    case "labels":
      return labelOf(snapshot.labels, path.slice(1));
    default:
      return undefined;
  }
}
