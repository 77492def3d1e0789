import type { Labels, SnapshotKind } from "../containerd/api/snapshots.ts";
import type { ServedLayer } from "./layer-mounter.ts";

/** One snapshot as it is stored. */
export interface Snapshot {
  /** Never used again, and the name of its directory; what a LayerMounter knows it by, as text. */
  readonly id: number;
  /** The key of an active one or a view, the name of a committed one. */
  readonly name: string;
  readonly kind: Exclude<SnapshotKind, "unknown">;
  readonly parent: SnapshotParent | undefined;
  /** Microseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly labels: Labels;
  /** What was stored at Commit. */
  readonly usage: Usage;
  /**
   * Of a committed snapshot that a LayerMounter shows: the layers that it is, bottom first; one, unless
   * an image was prepared as a whole. It has no directory.
   */
  readonly layers: readonly ServedLayer[] | undefined;
}

export interface SnapshotParent {
  readonly id: number;
  readonly name: string;
}

/** Disk space in bytes, and inodes. */
export interface Usage {
  readonly size: number;
  readonly inodes: number;
}

export const NO_USAGE: Usage = { size: 0, inodes: 0 };

/** A snapshot's name in what it asks of a LayerMounter. */
export function holderOf({ id }: { readonly id: number }): string {
  return String(id);
}
