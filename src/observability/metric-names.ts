/** What takes milliseconds: `operation_type` of soci_fs_operation_duration_milliseconds. */
export const MILLISECOND_OPERATIONS = [
  "mount",
  "remote_registry_get",
  "init_metadata_store",
  "background_fetch",
  "ztoc_unmarshal",
  "fuse_mount",
  "blob_redirect",
  "get_layer_size",
  "soci_index_fetch",
  "ztoc_fetch",
] as const;

export type MillisecondOperation = (typeof MILLISECOND_OPERATIONS)[number];

/** What takes microseconds: `operation_type` of soci_fs_operation_duration_microseconds. */
export const MICROSECOND_OPERATIONS = ["node_readdir", "synchronous_read"] as const;

export type MicrosecondOperation = (typeof MICROSECOND_OPERATIONS)[number];

/** What is counted for a layer: `operation_type` of soci_fs_operation_count. */
export type CountedOperation =
  | "synchronous_read_count"
  | "synchronous_read_remote_registry_fetch_count"
  | "fuse_failure_state"
  | "fuse_node_getattr_failure_count"
  | "fuse_node_listxattr_failure_count"
  | "fuse_node_lookup_failure_count"
  | "fuse_node_open_failure_count"
  | "fuse_node_readdir_failure_count"
  | "fuse_file_read_failure_count"
  | "fuse_file_getattr_failure_count"
  | "fuse_whiteout_getattr_failure_count"
  | "fuse_unknown_operation_failure_count"
  | "fuse_mount_failure_count"
  | "local_mount_failure_count"
  | "background_span_fetch_count"
  | "background_span_fetch_failure_count"
  | "background_fetch_work_queue_evicted"
  | "resolve_cache_hit"
  | "resolve_cache_miss"
  | "preresolve_queue_drop";

/** What is counted for an image: `operation_type` of soci_fs_image_operation_count_key. */
export type ImageOperation =
  | "node.Getattr"
  | "node.Getxattr"
  | "node.Listxattr"
  | "node.Lookup"
  | "node.Open"
  | "node.Readdir"
  | "node.Readlink"
  | "file.Read"
  | "file.Getattr"
  | "whiteout.Getattr"
  | "background_fetch_work_queue_size";

/** Why bytes were fetched. */
export const FETCH_CAUSES = ["demand", "prefetch", "readahead", "background"] as const;

export type FetchCause = (typeof FETCH_CAUSES)[number];

/** What was given up for room: a layer that nothing shows, or spans of one that is shown. */
export const EVICTION_KINDS = ["layer", "span"] as const;

export type EvictionKind = (typeof EVICTION_KINDS)[number];
