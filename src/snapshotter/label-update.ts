import type { Labels } from "../containerd/api/snapshots.ts";
import { SociError } from "../errors.ts";

/** Labels without those whose value is empty: to containerd these are not there. */
export function withoutEmpty(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
}

/**
 * The labels of `old` after an update with a field mask; without paths all are replaced.
 * @throws invalid-argument for a path of anything but labels
 */
export function applyLabelUpdate(
  old: { readonly name: string; readonly labels: Labels },
  labels: Labels,
  fieldPaths: readonly string[],
): Labels {
  if (fieldPaths.length === 0) return withoutEmpty(labels);
  let changed = new Map(Object.entries(old.labels));
  for (const path of fieldPaths) {
    if (path === "labels") {
      changed = new Map(Object.entries(labels));
    } else if (path.startsWith("labels.")) {
      const key = path.slice("labels.".length);
      changed.set(key, Object.hasOwn(labels, key) ? (labels[key] ?? "") : "");
    } else {
      throw new SociError(
        "invalid-argument",
        `cannot update ${JSON.stringify(path)} field on snapshot ${JSON.stringify(old.name)}`,
      );
    }
  }
  return withoutEmpty(Object.fromEntries(changed));
}
