import { FIELD_MASK, type FieldMask } from "./field-mask.ts";
import { MOUNT, type Mount } from "./mount.ts";
import { EMPTY, field, message } from "./protobuf.ts";
import { method } from "./service.ts";
import { TIMESTAMP, type Timestamp } from "./timestamp.ts";

// https://github.com/containerd/containerd/blob/main/api/services/snapshots/v1/snapshots.proto

export type Labels = Readonly<Record<string, string>>;

/** By the numbers of the protocol. */
export const SNAPSHOT_KINDS = ["unknown", "view", "active", "committed"] as const;
export type SnapshotKind = (typeof SNAPSHOT_KINDS)[number];

/** containerd.services.snapshots.v1.Info */
export interface SnapshotInfo {
  readonly name: string;
  readonly parent: string;
  readonly kind: SnapshotKind;
  readonly createdAt: Timestamp | undefined;
  readonly updatedAt: Timestamp | undefined;
  readonly labels: Labels;
}

export const SNAPSHOT_INFO = message<SnapshotInfo>("Info", {
  name: field.string(1),
  parent: field.string(2),
  kind: field.enum(3, SNAPSHOT_KINDS),
  createdAt: field.message(4, TIMESTAMP),
  updatedAt: field.message(5, TIMESTAMP),
  labels: field.map(6),
});

export interface PrepareRequest {
  readonly snapshotter: string;
  readonly key: string;
  readonly parent: string;
  readonly labels: Labels;
}

const prepareFields = {
  snapshotter: field.string(1),
  key: field.string(2),
  parent: field.string(3),
  labels: field.map(4),
} as const;

export const PREPARE_REQUEST = message<PrepareRequest>("PrepareSnapshotRequest", prepareFields);
export type ViewRequest = PrepareRequest;
export const VIEW_REQUEST = message<ViewRequest>("ViewSnapshotRequest", prepareFields);

/** The answer of Prepare, View and Mounts. */
export interface MountsResponse {
  readonly mounts: readonly Mount[];
}

export const MOUNTS_RESPONSE = message<MountsResponse>("MountsResponse", {
  mounts: field.messages(1, MOUNT),
});

/** The request of Mounts, Remove, Stat and Usage. */
export interface SnapshotKeyRequest {
  readonly snapshotter: string;
  readonly key: string;
}

export const SNAPSHOT_KEY_REQUEST = message<SnapshotKeyRequest>("SnapshotKeyRequest", {
  snapshotter: field.string(1),
  key: field.string(2),
});

export interface CommitRequest {
  readonly snapshotter: string;
  readonly name: string;
  readonly key: string;
  readonly labels: Labels;
  /** Of containerd 2.2 and later: the parent that the snapshot gets by the commit; else empty. */
  readonly parent: string;
}

export const COMMIT_REQUEST = message<CommitRequest>("CommitSnapshotRequest", {
  snapshotter: field.string(1),
  name: field.string(2),
  key: field.string(3),
  labels: field.map(4),
  parent: field.string(5),
});

/** The answer of Stat and Update. */
export interface SnapshotInfoResponse {
  readonly info: SnapshotInfo | undefined;
}

export const SNAPSHOT_INFO_RESPONSE = message<SnapshotInfoResponse>("SnapshotInfoResponse", {
  info: field.message(1, SNAPSHOT_INFO),
});

export interface UpdateSnapshotRequest {
  readonly snapshotter: string;
  readonly info: SnapshotInfo | undefined;
  readonly updateMask: FieldMask | undefined;
}

export const UPDATE_SNAPSHOT_REQUEST = message<UpdateSnapshotRequest>("UpdateSnapshotRequest", {
  snapshotter: field.string(1),
  info: field.message(2, SNAPSHOT_INFO),
  updateMask: field.message(3, FIELD_MASK),
});

export interface ListSnapshotsRequest {
  readonly snapshotter: string;
  readonly filters: readonly string[];
}

export const LIST_SNAPSHOTS_REQUEST = message<ListSnapshotsRequest>("ListSnapshotsRequest", {
  snapshotter: field.string(1),
  filters: field.strings(2),
});

export interface ListSnapshotsResponse {
  readonly info: readonly SnapshotInfo[];
}

export const LIST_SNAPSHOTS_RESPONSE = message<ListSnapshotsResponse>("ListSnapshotsResponse", {
  info: field.messages(1, SNAPSHOT_INFO),
});

export interface UsageResponse {
  readonly size: number;
  readonly inodes: number;
}

export const USAGE_RESPONSE = message<UsageResponse>("UsageResponse", {
  size: field.int64(1),
  inodes: field.int64(2),
});

export interface CleanupRequest {
  readonly snapshotter: string;
}

export const CLEANUP_REQUEST = message<CleanupRequest>("CleanupRequest", {
  snapshotter: field.string(1),
});

export const SNAPSHOTS_SERVICE_NAME = "containerd.services.snapshots.v1.Snapshots";
const name = SNAPSHOTS_SERVICE_NAME;

/** For a server's addService(), and call by call for a client. */
export const SNAPSHOTS_SERVICE = {
  prepare: method(name, "Prepare", { request: PREPARE_REQUEST, response: MOUNTS_RESPONSE }),
  view: method(name, "View", { request: VIEW_REQUEST, response: MOUNTS_RESPONSE }),
  mounts: method(name, "Mounts", { request: SNAPSHOT_KEY_REQUEST, response: MOUNTS_RESPONSE }),
  commit: method(name, "Commit", { request: COMMIT_REQUEST, response: EMPTY }),
  remove: method(name, "Remove", { request: SNAPSHOT_KEY_REQUEST, response: EMPTY }),
  stat: method(name, "Stat", { request: SNAPSHOT_KEY_REQUEST, response: SNAPSHOT_INFO_RESPONSE }),
  update: method(name, "Update", {
    request: UPDATE_SNAPSHOT_REQUEST,
    response: SNAPSHOT_INFO_RESPONSE,
  }),
  list: method(name, "List", {
    request: LIST_SNAPSHOTS_REQUEST,
    response: LIST_SNAPSHOTS_RESPONSE,
    streaming: "response",
  }),
  usage: method(name, "Usage", { request: SNAPSHOT_KEY_REQUEST, response: USAGE_RESPONSE }),
  cleanup: method(name, "Cleanup", { request: CLEANUP_REQUEST, response: EMPTY }),
} as const;
