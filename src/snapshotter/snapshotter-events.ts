import type { RefusalReason } from "./layer-mounter.ts";

export type SnapshotterCall =
  | "prepare"
  | "view"
  | "mounts"
  | "commit"
  | "remove"
  | "stat"
  | "update"
  | "list"
  | "usage"
  | "cleanup";

/** What is counted. Called often, and must not throw. */
export interface SnapshotterEvents {
  /** A layer is served and not unpacked. */
  layerServed?(layer: { readonly isWhole: boolean }): void;
  /** containerd unpacks a layer itself. */
  layerRefused?(reason: RefusalReason): void;
  /** A call ended, rightly or not. */
  called?(call: SnapshotterCall, seconds: number, failed: boolean): void;
}
