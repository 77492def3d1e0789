import type { KeyTable } from "./config-key.ts";

/** What a log line's level may be called; `trace` is our debug, `fatal` and `panic` are our error. */
export const LOG_LEVEL_NAMES = [
  "trace",
  "debug",
  "info",
  "warn",
  "warning",
  "error",
  "fatal",
  "panic",
] as const;

const LOCAL_STATE = "the files of a layer lie in flat tables below the root, not in a database";

/** Keys at the top of the file. */
export const DAEMON_KEYS = {
  root: {
    kind: "string",
    default: "/var/lib/soci-snapshotter-grpc",
    sociable: "/var/lib/sociable",
    mark: "honoured",
    why: "Directory of all state; --root comes first",
  },
  address: {
    kind: "string",
    default: "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock",
    sociable: "/run/sociable/sociable.sock",
    mark: "honoured",
    why: "Socket of the snapshotter: a path, unix://PATH, or fd:// for systemd's",
  },
  log_level: {
    kind: "choice",
    choices: LOG_LEVEL_NAMES,
    default: "info",
    mark: "honoured",
    why: "Least severe log lines that are written",
  },
  on_missing_index: {
    kind: "choice",
    choices: ["runtime", "stream"],
    default: "runtime",
    mark: "honoured",
    why: "An image without an index: containerd unpacks it, or we stream, index and serve it",
  },
  takeover_timeout_sec: {
    kind: "integer",
    default: 120,
    min: 0,
    zeroIsDefault: true,
    mark: "honoured",
    why: "How long mounts wait for the next daemon",
  },
  http_cache_type: {
    kind: "string",
    default: "",
    mark: "ignored",
    why: "it means nothing in the Go snapshotter either",
  },
  filesystem_cache_type: {
    kind: "string",
    default: "",
    mark: "ignored",
    why: "spans are kept in sparse files, and in memory by the kernel",
  },
  resolve_result_entry: {
    kind: "integer",
    default: 0,
    mark: "ignored",
    why: "layers that are in use are held by their use, not by a cache of limited length",
  },
  debug: {
    kind: "boolean",
    default: false,
    mark: "mapped",
    why: "Lowers log_level to debug",
  },
  disable_verification: {
    kind: "boolean",
    default: false,
    mark: "ignored",
    why: "spans are always verified; tar headers are not compared with the zTOC, which the index vouches for",
  },
  max_concurrency: {
    kind: "integer",
    default: 100,
    zeroIsDefault: true,
    mark: "ignored",
    why: "all layers of an image are prepared at once; requests are bounded for each host",
  },
  mount_timeout_sec: {
    kind: "integer",
    default: 30,
    min: 0,
    zeroIsDefault: true,
    mark: "honoured",
    why: "How long Prepare waits until a layer can be served, before containerd unpacks it",
  },
  fuse_metrics_emit_wait_duration_sec: {
    kind: "integer",
    default: 60,
    zeroIsDefault: true,
    mark: "ignored",
    why: "counts are given out when they are asked for",
  },
  metrics_address: {
    kind: "string",
    default: "",
    mark: "honoured",
    why: "HOST:PORT or path at which /metrics and /healthz are served; off when empty",
  },
  metrics_network: {
    kind: "choice",
    choices: ["tcp", "unix"],
    default: "tcp",
    mark: "honoured",
    why: "What metrics_address is",
  },
  no_prometheus: {
    kind: "boolean",
    default: false,
    mark: "honoured",
    why: "Switches /metrics off",
  },
  debug_address: {
    kind: "string",
    default: "",
    mark: "ignored",
    why: "there is no profile of a Go program to serve; metrics tell about the process",
  },
  metadata_store: { kind: "string", default: "db", mark: "ignored", why: LOCAL_STATE },
  metadata_db_no_sync: { kind: "boolean", default: false, mark: "ignored", why: LOCAL_STATE },
  metadata_insertion_chunk_size: {
    kind: "integer",
    default: 0,
    mark: "ignored",
    why: LOCAL_STATE,
  },
  skip_check_snapshotter_supported: {
    kind: "boolean",
    default: false,
    mark: "honoured",
    why: "Starts without trying whether the root's file system can be under an overlay",
  },
} as const satisfies KeyTable;
